//! Trained networks for `eval` and `predict`.

use std::path::{Path, PathBuf};

use data::{Pack, Views, ilsvrc2012};
use layers::{Model, Network};
use tensor::{Algorithms, Backend};
use train::evaluate::Member;
use train::load::{self, Loaded};
use train::{PackMeans, input};

use super::device::{self, OpenDevice};
use crate::args;
use crate::console::note;
use crate::failure::{Failure, Result};

/// The note on 1000 classes without names.
pub const ASSUMED_CLASSES: &str =
    "note: the 1000 classes have no names and are taken to be those of ILSVRC 2012, sorted by WordNet id";

/// The value of `--crops` for all positions of a network on whole images.
const DENSE: &str = "dense";

/// The networks of `--weights`, at least one, in host memory.
pub struct LoadedModels {
    models: Vec<Loaded>,
    pub views: Views,
    /// Temperature that the logits of the averaged probabilities are divided by.
    pub temperature: f64,
    pub threads: usize,
}

/// Networks on a device, at least one, with the same classes and size of images.
pub struct TrainedModels<B: Backend> {
    models: Vec<TrainedModel<B>>,
}

/// A trained network on a device, with its classes and its expectations of images.
pub struct TrainedModel<B: Backend> {
    /// The file of the weights.
    pub path: PathBuf,
    pub network: Network<B>,
    /// Class names; empty if the weights have none.
    pub classes: Vec<String>,
    /// Class names to print: those of ILSVRC 2012 for 1000 classes without names.
    pub printed_classes: Vec<String>,
    means: PackMeans,
    /// Whether the training images were rotated by their EXIF orientation.
    pub exif_orientation: bool,
}

/// Loads the networks of `--weights`, then opens the device.
pub fn load(args: &args::NetworkArgs) -> Result<(LoadedModels, OpenDevice)> {
    let models = read(args)?;
    Ok((models, open_device(&args.compute)?))
}

/// Loads the networks of `--weights`.
pub fn read(args: &args::NetworkArgs) -> Result<LoadedModels> {
    let args::NetworkArgs { checkpoint, model, mean, compute, .. } = args;
    if args.crops == DENSE && compute.precision == "int8" {
        let what = "it makes the fully connected layers convolutions, and only their weights can be int8";
        return Err(Failure::Usage(format!("--crops {DENSE}: {what}: take --precision f32 or bf16")));
    }
    let mut models = Vec::new();
    for path in &args.weights {
        let mut loaded = load_one(path, model.as_deref(), checkpoint, mean.as_deref())?;
        if args.crops == DENSE {
            loaded.make_dense().map_err(|error| Failure::Usage(format!("--crops {DENSE}: {error}")))?;
        }
        models.push(loaded);
    }
    Ok(LoadedModels { models, views: views(&args.crops), temperature: args.temperature, threads: threads(compute) })
}

/// The crops of an image that `--crops` names.
pub fn views(crops: &str) -> Views {
    match crops {
        "10" => Views::Ten,
        DENSE => Views::CentreMirrored,
        _ => Views::Centre,
    }
}

fn threads(compute: &args::ComputeArgs) -> usize {
    compute.threads.unwrap_or_else(device::all_threads)
}

/// Opens the device of `--device`.
pub fn open_device(compute: &args::ComputeArgs) -> Result<OpenDevice> {
    device::open_for_prediction(&compute.device, &compute.precision, threads(compute), Algorithms::default())
}

/// Loads the network for features, then opens the device.
pub fn load_for_features(weights: &Path, args: &args::FeatureArgs) -> Result<(LoadedModels, OpenDevice)> {
    let args::FeatureArgs { checkpoint, model, mean, compute, .. } = args;
    let loaded = load_one(weights, model.as_deref(), checkpoint, mean.as_deref())?;
    open_single(loaded, compute)
}

/// Loads one network, then opens the device.
pub fn load_single(args: &args::OneNetworkArgs) -> Result<(LoadedModels, OpenDevice)> {
    let args::OneNetworkArgs { weights, checkpoint, model, mean, compute, .. } = args;
    let loaded = load_one(weights, model.as_deref(), checkpoint, mean.as_deref())?;
    open_single(loaded, compute)
}

/// Loads the network of `filters --images`, then opens the device.
pub fn load_for_filters(args: &args::Filters) -> Result<(LoadedModels, OpenDevice)> {
    let args::Filters { weights, checkpoint, model, mean, compute, .. } = args;
    let loaded = load_one(weights, model.as_deref(), checkpoint, mean.as_deref())?;
    open_single(loaded, compute)
}

/// One network for centre crops, and the device.
fn open_single(loaded: Loaded, compute: &args::ComputeArgs) -> Result<(LoadedModels, OpenDevice)> {
    let models =
        LoadedModels { models: vec![loaded], views: Views::Centre, temperature: 1.0, threads: threads(compute) };
    Ok((models, open_device(compute)?))
}

fn load_one(path: &Path, model: Option<&str>, checkpoint: &args::CheckpointArgs, mean: Option<&str>) -> Result<Loaded> {
    let model = model.map(formats::model_of).transpose()?;
    let mut loaded = load::weights_of(path, model.as_ref(), checkpoint.choice(), &mut |text| {
        note(&format!("note: {text}"));
    })?;
    choose_average(&mut loaded, checkpoint.raw);
    if let Some(text) = mean {
        loaded.set_means(train::mean::load(text)?).map_err(|error| train::mean::named(text, error))?;
    }
    Ok(loaded)
}

/// Takes the last weights in place of their moving average if they are asked for, and says which of them are used where
/// there are both.
pub fn choose_average(loaded: &mut Loaded, raw: bool) {
    if raw {
        loaded.use_last_weights();
    } else if loaded.is_average() {
        let path = loaded.path.display();
        note(&format!("note: {path}: taking the moving average of the weights; --raw takes those of the last step"));
    }
}

impl LoadedModels {
    /// One network, tested with one crop.
    pub fn one(loaded: Loaded, threads: usize) -> Self {
        Self { models: vec![loaded], views: Views::Centre, temperature: 1.0, threads }
    }

    /// The names of the classes, if the weights have them.
    pub fn classes(&self) -> Option<Vec<String>> {
        let (names, _) = self.models[0].class_names();
        (!names.is_empty()).then_some(names)
    }

    /// Whether the training images were rotated by their EXIF orientation.
    pub fn exif_orientation(&self) -> bool {
        self.models[0].weights.exif_orientation
    }

    /// The size of the images that the networks take.
    pub fn image_size(&self) -> Result<usize> {
        Ok(self.models[0].model()?.input.size)
    }

    /// Fails unless a pack's images have the size of the training images: the network would see them at another scale.
    /// Prints a note if only one of this pack and the training pack was rotated by EXIF orientation.
    pub fn check_pack(&self, pack: &Pack) -> Result<()> {
        let found = pack.size();
        let trained = self.image_size()?;
        if found != trained {
            let what =
                format!("its images have {found} pixels a side, the network was trained on {trained} (its input.size)");
            return Err(Failure::Usage(format!("--data: {what}; pack again with --size {trained}")));
        }
        let with_or_without = |rotated: bool| if rotated { "with" } else { "without" };
        if pack.exif_orientation() != self.exif_orientation() {
            let now = with_or_without(pack.exif_orientation());
            let before = with_or_without(self.exif_orientation());
            let what = format!("packed {now} --exif-orientation, the pack of the training {before}");
            note(&format!("note: --data: {what}; images that a camera turned may look different to the network"));
        }
        Ok(())
    }

    /// Prints a note if the names of the classes are those that 1000 classes usually have.
    pub fn note_assumed_classes(&self) {
        if self.models.iter().any(|loaded| loaded.class_names().1) {
            note(ASSUMED_CLASSES);
        }
    }

    /// Fails unless the device has the memory to evaluate this number of images.
    pub fn check_memory<B: Backend<Scalar = f32>>(&self, device: &B, images: usize, batch: usize) -> Result<()> {
        for (place, loaded) in self.models.iter().enumerate() {
            let others = self.models.iter().enumerate().filter(|(other, _)| *other != place);
            let others = others.map(|(_, other)| other.model()).collect::<train::Result<Vec<&Model>>>()?;
            loaded.check_memory(device, images, self.views, batch, &others)?;
        }
        Ok(())
    }

    /// The first network.
    pub fn model(&self) -> Result<&Model> {
        Ok(self.models[0].model()?)
    }

    /// Moves the networks to a device. Fails unless they have the same classes and size of images.
    pub fn into_device<B: Backend<Scalar = f32>>(self, device: &B) -> Result<TrainedModels<B>> {
        let mut models: Vec<TrainedModel<B>> = Vec::new();
        for loaded in self.models {
            let model = TrainedModel::new(loaded, device)?;
            if let Some(first) = models.first() {
                model.check_beside(first)?;
            }
            models.push(model);
        }
        Ok(TrainedModels { models })
    }
}

impl<B: Backend> TrainedModels<B> {
    /// The first network: the others have its classes and size of images.
    pub fn first(&self) -> &TrainedModel<B> {
        &self.models[0]
    }

    /// The first network.
    pub fn into_first(mut self) -> TrainedModel<B> {
        self.models.swap_remove(0)
    }

    /// The networks with their input of stored images of `size`.
    pub fn members(&self, size: usize) -> Result<Vec<Member<'_, B>>> {
        let mut members = Vec::new();
        for model in &self.models {
            members.push(Member { network: &model.network, input: model.input(size)? });
        }
        Ok(members)
    }

    /// The crops that differ, of images of `size`.
    pub fn distinct(&self, views: Views, size: usize) -> Views {
        let smallest = self.models.iter().map(|model| model.network.model().input.crop).min().unwrap_or_default();
        let distinct = views.distinct(size, smallest);
        if distinct != views {
            note("note: --crops 10: the crop is the whole image, so they are two: the image and its mirror image");
        }
        distinct
    }

    /// An error of the networks, which names the weights if they are the cause.
    pub fn named(&self, error: train::Error) -> Failure {
        let paths: Vec<String> = self.models.iter().map(|model| model.path.display().to_string()).collect();
        named(Path::new(&paths.join(", ")), error)
    }
}

impl<B: Backend<Scalar = f32>> TrainedModel<B> {
    fn new(loaded: Loaded, device: &B) -> Result<Self> {
        let mut network = loaded.network(device)?;
        network.to_weight_dtype()?;
        let means = loaded.means();
        let (printed_classes, _) = loaded.class_names();
        let weights = loaded.weights;
        Ok(Self {
            path: loaded.path,
            network,
            means,
            exif_orientation: weights.exif_orientation,
            classes: weights.classes,
            printed_classes,
        })
    }
}

impl<B: Backend> TrainedModel<B> {
    /// Fails unless the predictions of this network can be averaged with those of `first`.
    fn check_beside(&self, first: &Self) -> Result<()> {
        let differ = |what: String| {
            let paths = format!("{} and {}", first.path.display(), self.path.display());
            Err(Failure::Usage(format!("--weights: {paths}: {what}: their predictions cannot be averaged")))
        };
        let sizes = [first, self].map(|model| model.network.model().input.size);
        if sizes[0] != sizes[1] {
            return differ(format!("networks for images of {} and {} pixels", sizes[0], sizes[1]));
        }
        let counts = [first, self].map(|model| model.network.model().classes);
        if counts[0] != counts[1] {
            return differ(format!("networks of {} and {} classes", counts[0], counts[1]));
        }
        let names = first.classes.iter().zip(&self.classes);
        if let Some((number, (one, other))) = names.enumerate().find(|(_, (one, other))| one != other) {
            return differ(format!("class {number} is {one:?} and {other:?}"));
        }
        Ok(())
    }

    /// The class of a name or a number. WordNet IDs of ILSVRC 2012's classes and each of the words of a class, between commas,
    /// are names too.
    pub fn class(&self, text: &str) -> Result<usize> {
        let classes = self.network.model().classes;
        let has_word = |words: &str| words.split(',').any(|word| word.trim() == text);
        let is_named = |name: &String| name == text || ilsvrc2012::short_name(name) == text;
        let has_name = |name: &String| has_word(name) || ilsvrc2012::words(name).is_some_and(has_word);
        let class = self.printed_classes.iter().position(is_named);
        if let Some(class) = class.or_else(|| self.printed_classes.iter().position(has_name)) {
            return Ok(class);
        }
        let number = text.parse().ok().filter(|number| *number < classes);
        let what = format!("--class: {text:?} is no class of the network, nor a number below {classes}");
        number.ok_or(Failure::Usage(what))
    }

    /// The readable name of a class, or its number.
    pub fn short_name(&self, class: usize) -> String {
        self.printed_classes.get(class).map_or(class.to_string(), |name| ilsvrc2012::short_name(name).to_string())
    }

    /// Preprocessing of stored images of `size`.
    pub fn input(&self, size: usize) -> Result<data::CropAndNormalize> {
        Ok(input::crop_and_normalize(&self.network.model().input, &self.means, size)?)
    }

    /// Fails unless the pack has the classes that the network was trained on.
    pub fn check_classes(&self, found: &[String]) -> Result<()> {
        if self.classes.is_empty() {
            let classes = self.network.model().classes;
            if found.len() != classes {
                let what = format!("--data: the pack has {} classes, the network {classes}", found.len());
                return Err(Failure::Usage(what));
            }
            return Ok(());
        }
        Ok(input::check_classes("--data", &self.classes, found)?)
    }
}

/// The failure of a test or a prediction, which names the weights if they are the cause.
pub fn named(weights: &Path, error: train::Error) -> Failure {
    match error {
        train::Error::NotFinite { .. } => Failure::Failed(format!("{}: {error}", weights.display())),
        other => other.into(),
    }
}
