//! Weights for a command: from a file, a checkpoint, or the best or newest checkpoint of a run.

mod run_weights;

use std::fs;
use std::path::{Path, PathBuf};

use data::{Views, ilsvrc2012};
use formats::{OptimizerState, Report};
use layers::model::Mean;
use layers::weights::Weights;
use layers::weights::hdf5_file::load_with;
use layers::{Model, Network};
use tensor::Backend;

use crate::checkpoint::{Checkpoint, Tensors};
use crate::compare::{self, Difference};
use crate::error::OtherNetwork;
use crate::memory::{self, Workload};
use crate::packs::PackMeans;
use crate::{Error, Remedy, Result, input, mean, run};

/// Weights, and the file that they were loaded from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// Parameters, network, classes and means.
    pub weights: Weights,
    /// The file's format, and what its tensors became.
    pub report: Report,
    /// The network that a file of another framework describes, if the caller named another for it.
    pub described: Option<Model>,
    /// Slots of the optimizer in a file of another framework.
    pub optimizer: Option<OptimizerState>,
    /// The parameters after the last step, if those in `weights` are their moving average.
    last: Option<Tensors>,
}

/// The checkpoint of a run to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckpointChoice {
    /// The one that validated best; without a validation, the newest.
    #[default]
    BestOrNewest,
    /// The one that validated best.
    Best,
    /// The newest.
    Newest,
}

/// Loads weights from a file of any format that [`formats`] reads, or from the folder of a run, of which it takes the
/// checkpoint that validated best, or else the newest ([`weights_of`] takes another). Those of a checkpoint that has the
/// moving average of the weights are that average. `model` is the network
/// of a file that does not name one, and of a file of another framework; other files must be for the same network. Calls
/// `warn` with the step of a run's checkpoint, with a message for each damaged one that is skipped, for values that are not
/// finite, and for each thing to know about a file of another framework.
///
/// # Errors
/// [`Error::File`] or [`Error::Layers`] with the file and its problem; [`Error::OtherNetwork`] if it holds weights of
/// another network than `model`.
pub fn weights(path: &Path, model: Option<&Model>, warn: &mut dyn FnMut(String)) -> Result<Loaded> {
    weights_of(path, model, CheckpointChoice::default(), warn)
}

/// Loads weights as [`weights`] does, from this checkpoint if `path` is a run.
///
/// # Errors
/// Those of [`weights`]; [`Error::File`] for a choice that is not the default if `path` is no run, and for the best
/// checkpoint of a run that was never validated.
pub fn weights_of(
    path: &Path,
    model: Option<&Model>,
    choice: CheckpointChoice,
    warn: &mut dyn FnMut(String),
) -> Result<Loaded> {
    let metadata = fs::metadata(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    if metadata.is_dir() {
        let loaded = run_weights::of_run(path, choice, warn)?;
        loaded.report.notes.iter().for_each(|note| warn(format!("{}: {note}", loaded.path.display())));
        return loaded.checked_for(model);
    }
    if choice != CheckpointChoice::default() {
        return Err(Error::file(path, "is a file: only the folder of a run has a best and a newest checkpoint"));
    }
    if formats::is_own(path)?
        && let Ok(checkpoint) = Checkpoint::load(path)
    {
        let loaded = Loaded::of_checkpoint(path.to_path_buf(), checkpoint);
        loaded.report.notes.iter().for_each(|note| warn(format!("{}: {note}", path.display())));
        return loaded.checked_for(model);
    }
    let loaded = Loaded::of_file(path, formats::load(path, model)?);
    let Loaded { report, described, .. } = &loaded;
    let mut notes = report.notes.clone();
    let differences = described.as_ref().zip(model).map(|(own, model)| compare::output_differences(own, model));
    if let Some(differences) = differences.filter(|differences| !differences.is_empty()) {
        notes.push(format!("the network that it describes differs: {}", differences.join("; ")));
    }
    notes.into_iter().for_each(|note| warn(format!("{}: {note}", path.display())));
    loaded.checked_for(model)
}

/// Loads weights as [`weights`] does, with the state of a checkpoint's optimizer, and its settings as `[train.optim]` of the
/// network: for files of other frameworks that have a place for them. Calls `warn` also with what they have no place for.
///
/// # Errors
/// Those of [`weights_of`].
pub fn with_optimizer(
    path: &Path,
    model: Option<&Model>,
    choice: CheckpointChoice,
    warn: &mut dyn FnMut(String),
) -> Result<Loaded> {
    let mut loaded = weights_of(path, model, choice, warn)?;
    if !loaded.report.is_own {
        return Ok(loaded);
    }
    // Weights that are no checkpoint have no state.
    let Ok(checkpoint) = Checkpoint::load(&loaded.path) else { return Ok(loaded) };
    checkpoint.notes_on_export().into_iter().for_each(|note| warn(format!("{}: {note}", loaded.path.display())));
    loaded.optimizer = checkpoint.optimizer_state();
    if let Some(model) = loaded.weights.model.as_mut().filter(|_| loaded.optimizer.is_some()) {
        model.train.insert("optim".into(), checkpoint.optimizer_settings().into());
    }
    Ok(loaded)
}

/// Loads weights that a run of `model` starts with. A file of another framework is taken to be for `model` if its tensors
/// fit, or if it lacks the last linear layers, which the weights then lack; other files are for the network that they
/// name.
///
/// # Errors
/// Those of [`weights`].
pub fn starting_weights(path: &Path, model: &Model) -> Result<Loaded> {
    let is_foreign = path.is_file() && !formats::is_own(path)?;
    let [first, second] = if is_foreign { [Some(model), None] } else { [None, Some(model)] };
    let first = weights(path, first, &mut |_| {});
    if let (Err(_), true) = (&first, is_foreign)
        && let Ok(Some(found)) = formats::load_without_top(path, model)
    {
        return Ok(Loaded::of_file(path, found));
    }
    first.or_else(|error| match weights(path, second, &mut |_| {}) {
        // The first attempt is the one that should have succeeded.
        Err(_) if is_foreign => Err(error),
        other => other,
    })
}

/// The newest undamaged checkpoint of a run. Calls `warn` with a message for each damaged one that is skipped.
///
/// # Errors
/// [`Error::File`] if `folder` is not a run, if all its checkpoints are damaged, or if the system cannot list them or
/// read one, which may be undamaged.
pub fn newest_checkpoint(folder: &Path, warn: &mut dyn FnMut(String)) -> Result<Option<(PathBuf, Checkpoint)>> {
    run_weights::check_is_run(folder)?;
    run::newest_undamaged(run::checkpoints(folder)?, folder, Checkpoint::load, warn)
}

/// The newest undamaged checkpoint of a run that is resumed, as [`newest_checkpoint`] finds it.
///
/// # Errors
/// Those of [`newest_checkpoint`]. If all checkpoints are damaged and the [best weights](run::best_weights) are not, the
/// remedy is [`Remedy::BeginFromBest`].
pub fn checkpoint_to_resume(folder: &Path, warn: &mut dyn FnMut(String)) -> Result<Option<(PathBuf, Checkpoint)>> {
    run_weights::check_is_run(folder)?;
    let checkpoints = run::checkpoints(folder)?;
    let all = checkpoints.len();
    let mut damaged = 0;
    let mut count = |warning| {
        damaged += 1;
        warn(warning);
    };
    let found = run::newest_undamaged(checkpoints, folder, Checkpoint::load, &mut count);
    found.map_err(|error| {
        let weights = run::best_weights(folder);
        if damaged < all || load_with(&weights).is_err() {
            return error;
        }
        let what = format!("every checkpoint of the run is damaged, and {} is whole", weights.display());
        Error::file(folder, what).with_remedy(Remedy::BeginFromBest { run: folder.to_path_buf() })
    })
}

impl Loaded {
    fn of_file(path: &Path, loaded: formats::Loaded) -> Self {
        let formats::Loaded { weights, report, described, optimizer } = loaded;
        Self { path: path.to_path_buf(), weights, report, described, optimizer, last: None }
    }

    /// Weights of this workspace's own from a file.
    pub fn new(path: PathBuf, weights: Weights) -> Self {
        let report = Report::of_own(formats::Format::Own, &weights);
        Self { path, weights, report, described: None, optimizer: None, last: None }
    }

    /// The weights of a checkpoint: their moving average, if it has one.
    fn of_checkpoint(path: PathBuf, checkpoint: Checkpoint) -> Self {
        let Checkpoint { mut weights, average, .. } = checkpoint;
        let last = (!average.is_empty()).then(|| std::mem::replace(&mut weights.tensors, average));
        Self { last, ..Self::new(path, weights) }
    }

    /// Whether the weights are a moving average of those after each step.
    pub fn is_average(&self) -> bool {
        self.last.is_some()
    }

    /// Takes the weights after the last step in place of their moving average.
    pub fn use_last_weights(&mut self) {
        if let Some(last) = self.last.take() {
            self.weights.tensors = last;
        }
    }

    /// Checks that these are weights of the network `model`, if both are known.
    fn checked_for(self, model: Option<&Model>) -> Result<Self> {
        let (Some(own), Some(asked)) = (&self.weights.model, model) else { return Ok(self) };
        let Some(Difference { place, first, second }) = Difference::between(own, asked) else { return Ok(self) };
        let path = self.path.clone();
        let requested = asked.name.clone();
        let other = OtherNetwork { path, own: own.name.clone(), requested, place, first, second };
        Err(Error::OtherNetwork(Box::new(other)))
    }

    /// Makes the network a dense one, for whole stored images ([`Model::dense`]).
    ///
    /// # Errors
    /// [`Error::Layers`] if the network has a layer that is bound to one size of map; [`Error::File`] as in
    /// [`network`](Self::network).
    pub fn make_dense(&mut self) -> Result<()> {
        let own = self.model()?;
        let dense = own.dense(own.input.size)?;
        for spec in dense.parameters()? {
            let Some((_, values)) = self.weights.tensors.iter_mut().find(|(name, _)| *name == spec.name) else {
                continue;
            };
            // Values that do not fit are left for the error of `network`.
            if values.len() == spec.len()
                && values.is_standard_layout()
                && let Ok(shaped) = std::mem::take(values).into_shape_with_order(spec.shape)
            {
                *values = shaped;
            }
        }
        self.weights.model = Some(dense);
        Ok(())
    }

    /// The network with these weights.
    ///
    /// # Errors
    /// [`Error::File`] if the file does not name its network.
    pub fn network<B: Backend<Scalar = f32>>(&self, device: &B) -> Result<Network<B>> {
        let model = self.model()?;
        Ok(Network::with_parameters(device, model, &self.path.display().to_string(), &self.weights.tensors)?)
    }

    /// Checks that `device` has the memory to evaluate this many images beside the parameters of `others`, before the
    /// weights are uploaded.
    ///
    /// # Errors
    /// [`Error::Memory`] with the bytes needed and free, and the largest batch that fits; [`Error::File`] as in
    /// [`network`](Self::network).
    pub fn check_memory<B: Backend<Scalar = f32>>(
        &self,
        device: &B,
        images: usize,
        views: Views,
        batch: usize,
        others: &[&Model],
    ) -> Result<()> {
        let workload =
            Workload { model: self.model()?, training: None, evaluation: Some((images, views)), is_mapped: false };
        memory::check_with(device, memory::beside(device.memory(), others)?, &workload, batch)
    }

    /// The network.
    ///
    /// # Errors
    /// [`Error::File`] if the file names none.
    pub fn model(&self) -> Result<&Model> {
        let what = "does not say which network it is for";
        let missing = || Error::file(&self.path, what).with_remedy(Remedy::NameNetwork);
        self.weights.model.as_ref().ok_or_else(missing)
    }

    /// Gives weights without class names those of [`class_names`](Self::class_names). Returns whether it did.
    pub fn assume_class_names(&mut self) -> bool {
        let (names, is_assumed) = self.class_names();
        self.weights.classes = names;
        is_assumed
    }

    /// Names of the classes to print. Without any in the file, 1000 classes are taken to be ILSVRC 2012's in the order of
    /// their WordNet ids, as in torchvision, Keras and Caffe; the second value is then true.
    pub fn class_names(&self) -> (Vec<String>, bool) {
        let classes = self.weights.model.as_ref().map(|model| model.classes);
        let known = ilsvrc2012::classes();
        if self.weights.classes.is_empty() && classes == Some(known.len()) {
            return (known.iter().map(|(wnid, _)| (*wnid).to_string()).collect(), true);
        }
        (self.weights.classes.clone(), false)
    }

    /// The means of the pack that the weights were trained on, if the file has them.
    pub fn means(&self) -> PackMeans {
        let means = PackMeans::of_weights(&self.weights);
        match &self.weights.model {
            Some(model) => means.for_input(&model.input),
            None => means,
        }
    }

    /// Puts a mean that a user gave in place of the file's.
    ///
    /// # Errors
    /// [`Error::Setting`] if the network subtracts none, or if it is an image of another size than the network's;
    /// [`Error::File`] if the file does not name its network.
    pub fn set_means(&mut self, means: PackMeans) -> Result<()> {
        let input = self.model()?.input.clone();
        mean::check_needed(&input)?;
        let means = means.for_input(&input);
        // The advice is for packs: to make images of another size.
        input::crop_and_normalize(&input, &means, input.size).map_err(Error::without_remedy)?;
        self.weights.mean_rgb = means.rgb;
        self.weights.mean_image = means.image.filter(|_| input.mean == Mean::PackImage);
        Ok(())
    }
}
