//! Trained networks for `eval` and `predict`.

use std::path::{Path, PathBuf};

use data::{Pack, Views};
use layers::Network;
use tensor::{Algorithms, Backend};
use train::load::{self, Loaded};
use train::{PackMeans, input, mean};

use super::device::{self, OpenDevice};
use crate::args;
use crate::console::note;
use crate::failure::{Failure, Result};

/// The note on 1000 classes without names.
pub const ASSUMED_CLASSES: &str =
    "note: the 1000 classes have no names and are taken to be those of ILSVRC 2012, sorted by WordNet id";

/// The network of `--weights`, in host memory.
pub struct LoadedModel {
    loaded: Loaded,
    pub views: Views,
    pub threads: usize,
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

/// Loads the network of `--weights`, then opens the device.
pub fn load(args: &args::NetworkArgs) -> Result<(LoadedModel, OpenDevice)> {
    let model = args.model.as_deref().map(formats::model_of).transpose()?;
    let mut loaded = load::weights_of(&args.weights, model.as_ref(), args.checkpoint.choice(), &mut |text| {
        note(&format!("note: {text}"));
    })?;
    choose_average(&mut loaded, args.checkpoint.raw);
    if let Some(text) = &args.mean {
        loaded.set_means(mean::load(text)?).map_err(|error| mean::named(text, error))?;
    }
    let threads = args.compute.threads.unwrap_or_else(device::all_threads);
    let views = if args.crops == "10" { Views::Ten } else { Views::Centre };
    let opened = device::open(&args.compute.device, &args.compute.precision, threads, Algorithms::default())?;
    Ok((LoadedModel { loaded, views, threads }, opened))
}

/// The failure of a test or a prediction, which names the weights if they are the cause.
pub fn named(weights: &Path, error: train::Error) -> Failure {
    match error {
        train::Error::NotFinite { .. } => Failure::Failed(format!("{}: {error}", weights.display())),
        other => other.into(),
    }
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

impl LoadedModel {
    /// Prints a note if the names of the classes are those that 1000 classes usually have.
    pub fn note_assumed_classes(&self) {
        if let (_, true) = self.loaded.class_names() {
            note(ASSUMED_CLASSES);
        }
    }

    /// Fails unless the device has the memory to evaluate this number of images.
    pub fn check_memory<B: Backend<Scalar = f32>>(&self, device: &B, images: usize, batch: usize) -> Result<()> {
        Ok(self.loaded.check_memory(device, images, self.views, batch)?)
    }

    /// Moves the network to a device.
    pub fn into_device<B: Backend<Scalar = f32>>(self, device: &B) -> Result<TrainedModel<B>> {
        let network = self.loaded.network(device)?;
        let means = self.loaded.means();
        let (printed_classes, _) = self.loaded.class_names();
        let weights = self.loaded.weights;
        Ok(TrainedModel {
            path: self.loaded.path,
            network,
            means,
            exif_orientation: weights.exif_orientation,
            classes: weights.classes,
            printed_classes,
        })
    }
}

impl<B: Backend> TrainedModel<B> {
    /// Preprocessing of stored images of `size`.
    pub fn input(&self, size: usize) -> Result<data::CropAndNormalize> {
        Ok(input::crop_and_normalize(&self.network.model().input, &self.means, size)?)
    }

    /// Prints a note if only one of this pack and the training pack was rotated by EXIF orientation.
    pub fn compare_orientation(&self, pack: &Pack) {
        let with_or_without = |rotated: bool| if rotated { "with" } else { "without" };
        if pack.exif_orientation() != self.exif_orientation {
            let now = with_or_without(pack.exif_orientation());
            let before = with_or_without(self.exif_orientation);
            let what = format!("packed {now} --exif-orientation, the pack of the training {before}");
            note(&format!("note: --data: {what}; images that a camera turned may look different to the network"));
        }
    }

    /// Fails unless the pack's images have the size of the training images: the network would see them at another scale.
    pub fn check_size(&self, pack: &Pack) -> Result<()> {
        let found = pack.size();
        let trained = self.network.model().input.size;
        if found == trained {
            return Ok(());
        }
        let what =
            format!("its images have {found} pixels a side, the network was trained on {trained} (its input.size)");
        Err(Failure::Usage(format!("--data: {what}; pack again with --size {trained}")))
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
