//! Checkpoints: everything that a run needs to continue as if it had never stopped.
//!
//! A checkpoint is a weights file of [`layers::weights`], so that every command that takes weights takes a checkpoint.
//! It has a group `training` beside the parameters: `state` (position, seed, configuration, schedule; TOML text) and
//! `optimizer/` (one dataset per tensor). Each has a CRC-32C.

use std::borrow::Cow;
use std::path::Path;

use data::Pack;
use layers::weights::Weights;
use layers::weights::hdf5_file::{self, Parts, TensorSource};
use layers::{Model, Network};
use ndarray::ArrayD;
use optim::{Optimizer, Schedule, ScheduleState, State};
use serde::{Deserialize, Serialize};
use tensor::{Backend, Tensor};

use crate::compare::Difference;
use crate::packs::Packs;
use crate::position::Position;
use crate::run::Best;
use crate::{Config, EarlyStopping, Error, Result, input};

/// Version of the `training` group that this crate writes. It reads all versions up to it.
pub const VERSION: u32 = 1;

/// Values by name, on the host.
pub type Tensors = Vec<(String, ArrayD<f32>)>;

/// The `state` of the `training` group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// Fingerprint of the training pack.
    pub train_fingerprint: String,
    /// Number of images in the training pack. Files of early versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_images: Option<u64>,
    /// Fingerprint of the validation pack, or nothing.
    pub val_fingerprint: String,
    /// Steps that the optimizer has taken.
    pub optimizer_steps: u64,
    /// Factor of the learning rate that callbacks set.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rate_factor: f64,
    /// Position of the run.
    pub position: Position,
    /// State of the learning-rate schedule.
    pub schedule: ScheduleState,
    /// The checkpoint that is best so far, which may be this one. Files of early versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// Updates of the moving average of the weights.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub average_updates: u64,
    /// State of early stopping, if the run has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// The configuration.
    pub config: Config,
}

fn one() -> f64 {
    1.0
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

impl RunState {
    /// Drops the state that settings of a resumed run make void: that of another schedule, and what was best by another
    /// metric.
    pub(crate) fn adapt_to(&mut self, config: &Config) {
        if self.config.optim.schedule != config.optim.schedule {
            self.schedule = ScheduleState::default();
        }
        if self.config.run.monitor != config.run.monitor {
            self.schedule.best = None;
            self.schedule.stale = 0;
            self.best = None;
            self.early_stopping = None;
        }
    }
}

/// The state of a run at one step, on the host.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Parameters, network, classes and means.
    pub weights: Weights,
    /// Position, schedule and configuration.
    pub state: RunState,
    /// The optimizer's tensors by name.
    pub optimizer: Tensors,
    /// The moving averages of the parameters by name; empty without `optim.ema_decay`.
    pub average: Tensors,
}

/// Prefix of the names of moving averages among the tensors of the `training` group.
pub(crate) const AVERAGE: &str = "weight-average/";

/// The tensors of the `training` group: those of the optimizer, and the moving averages of the parameters.
pub(crate) fn training_tensors<'a>(optimizer: &'a Tensors, average: &'a Tensors) -> Vec<TensorSource<'a>> {
    let optimizer = optimizer.iter().map(|(name, values)| TensorSource::of_array(name, values));
    let average = average.iter().map(|(name, values)| TensorSource::of_array(format!("{AVERAGE}{name}"), values));
    optimizer.chain(average).collect()
}

/// The inverse of [`training_tensors`]: those of the optimizer, and the moving averages.
pub(crate) fn split_training_tensors(tensors: Tensors) -> [Tensors; 2] {
    let mut optimizer = Tensors::new();
    let mut average = Tensors::new();
    for (name, values) in tensors {
        match name.strip_prefix(AVERAGE) {
            Some(parameter) => average.push((parameter.to_string(), values)),
            None => optimizer.push((name, values)),
        }
    }
    [optimizer, average]
}

impl Checkpoint {
    /// Writes the file so that a crash leaves the old one or the new one, after reading back what was written.
    ///
    /// # Errors
    /// Those of [`hdf5_file::save_parts`]: the old file is kept.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(&self.state).map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
        let training = Some((text.as_str(), training_tensors(&self.optimizer, &self.average)));
        Ok(hdf5_file::save_parts(path, &Parts { training, ..Parts::of_weights(&self.weights) })?)
    }

    /// Reads a checkpoint, checking every checksum.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Layers`] that names the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self> {
        let (weights, extra) = hdf5_file::load_with(path)?;
        let extra = extra.ok_or_else(|| Error::file(path, "holds weights but no training state: not a checkpoint"))?;
        let state: RunState = toml::from_str(&extra.state)
            .map_err(|e| Error::file(path, format!("its training state is not readable: {}", e.message())))?;
        if state.version > VERSION {
            let what = format!("written by version {}, this reads up to {VERSION}", state.version);
            return Err(Error::file(path, what));
        }
        let [optimizer, average] = split_training_tensors(extra.tensors);
        Ok(Self { weights, state, optimizer, average })
    }

    /// The weights that a validation tests: their moving average, if the checkpoint has one.
    pub fn tested_weights(&self) -> Cow<'_, Weights> {
        if self.average.is_empty() {
            return Cow::Borrowed(&self.weights);
        }
        Cow::Owned(Weights { tensors: self.average.clone(), ..self.weights.clone() })
    }

    /// Restores a run: sets its weights, optimizer and schedule, and returns its position.
    ///
    /// # Errors
    /// [`Error::Layers`] or [`Error::Optim`] if the checkpoint is of another network or optimizer.
    pub fn restore<B: Backend<Scalar = f32>>(
        self,
        network: &mut Network<B>,
        optimizer: &mut Optimizer<B>,
        schedule: &mut Schedule,
    ) -> Result<Position> {
        network.set_parameters("the checkpoint", &self.weights.tensors)?;
        let device = network.device().clone();
        let mut tensors = Vec::new();
        for (name, values) in &self.optimizer {
            tensors.push((name.clone(), Tensor::from_array(&device, values.view())?));
        }
        optimizer.load_state(State { steps: self.state.optimizer_steps, tensors })?;
        schedule.load_state(self.state.schedule)?;
        Ok(self.state.position)
    }

    /// Checks that the configuration and the network in the folder of the run are those of the checkpoint: a user may
    /// have edited the files since. Returns the differences that change the results of the steps to come.
    ///
    /// # Errors
    /// [`Error::Resume`] with both values of each setting that may not differ, or the first line of the network that does.
    pub fn check_run(&self, run: &Path, config: &Config, model: &Model, packs: &Packs) -> Result<Vec<String>> {
        let noted = config.check_resumable(&self.state.config, run)?;
        let before = self.weights.model.as_ref().map(Model::to_toml).unwrap_or_default();
        let now = model.to_toml();
        if before != now {
            let Difference { place, first, second } = Difference::of(&before, &now);
            let differences = vec![format!("model.toml: {place}the network had {first}, now {second}")];
            return Err(Error::Resume { run: run.to_path_buf(), differences, settings: Vec::new() });
        }
        self.check_packs(run, packs)?;
        Ok(noted)
    }

    /// Each pack that is not the one that the run started with, with the path and the fingerprint of both.
    fn other_packs(&self, packs: &Packs) -> Vec<String> {
        let data = &self.state.config.data;
        let was = |path: Option<&Path>, fingerprint: &str| match path {
            Some(path) => format!("the pack {} (fingerprint {fingerprint})", path.display()),
            None => "none".to_string(),
        };
        let is = |pack: Option<&Pack>| was(pack.map(Pack::path), pack.map_or("", Pack::fingerprint));
        let mut differences = Vec::new();
        if self.state.train_fingerprint != packs.train.fingerprint() {
            let before = was(Some(&data.train), &self.state.train_fingerprint);
            differences.push(format!("data.train was {before}, now it is {}", is(Some(&packs.train))));
        }
        let val = packs.val.as_deref();
        if self.state.val_fingerprint != val.map_or("", Pack::fingerprint) {
            let before = was(data.val.as_deref(), &self.state.val_fingerprint);
            differences.push(format!("data.val was {before}, now it is {}", is(val)));
        }
        differences
    }

    /// Lets a run go on with other packs than it started with, such as ones of the same images packed anew, or without its
    /// validation pack. Returns what differs, which changes the results of the steps to come.
    ///
    /// # Errors
    /// [`Error::Setting`] if the training pack has another number of images, whose order could not be that of the run, or if
    /// a pack has other classes.
    pub fn accept_packs(&mut self, packs: &Packs) -> Result<Vec<String>> {
        let differences = self.other_packs(packs);
        let images = packs.train.len() as u64;
        if let Some(before) = self.state.train_images.filter(|before| *before != images) {
            let what = format!("{} has {images} images, the run's pack {before}", packs.train.path().display());
            return Err(Error::setting("data.train", what));
        }
        for (setting, pack) in [("data.train", Some(&packs.train)), ("data.val", packs.val.as_ref())] {
            if let Some(pack) = pack {
                input::check_classes(setting, &self.weights.classes, pack.classes())?;
            }
        }
        self.state.train_fingerprint = packs.train.fingerprint().to_string();
        self.state.val_fingerprint = packs.val.as_deref().map_or("", Pack::fingerprint).to_string();
        Ok(differences)
    }

    /// Checks that the packs are those that the run started with.
    fn check_packs(&self, run: &Path, packs: &Packs) -> Result<()> {
        let differences = self.other_packs(packs);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Resume { run: run.to_path_buf(), differences, settings: Vec::new() })
    }
}
