//! Everything a run needs to go on as if it had never ended.
//!
//! A checkpoint is a weights file of [`layers::weights`], so that every command that takes weights takes a checkpoint,
//! with a group `training` beside the parameters: `state` (position, seed, configuration, schedule; TOML text) and
//! `optimizer/` (a dataset a tensor). Each carries a CRC-32C.

use std::path::{Path, PathBuf};

use data::Pack;
use layers::weights::{Weights, hdf5_file};
use layers::{Model, Network};
use ndarray::ArrayD;
use optim::{Adam, Optimizer, Rule, Schedule, ScheduleRule, ScheduleState, Sgd, State};
use serde::{Deserialize, Serialize};
use tensor::{Backend, Tensor};

use crate::compare::{self, Difference};
use crate::config::{ModelConfig, OptimConfig, OptimKind, ScheduleKind};
use crate::evaluate::Evaluation;
use crate::input::PackMeans;
use crate::log::ValidationLine;
use crate::metrics::StepMetrics;
use crate::run::Best;
use crate::trainer::Packs;
use crate::{Config, Error, Result, load};

/// Version of the `training` group that this writes; it reads all up to it.
pub const VERSION: u32 = 1;

/// Values by name, on the host.
pub type Tensors = Vec<(String, ArrayD<f32>)>;

/// Where a run is, and the sums of its current epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Batches of the current epoch done.
    pub batch: usize,
    /// Steps done at the last validation.
    pub validated_step: u64,
    /// Sum of the epoch's losses, each times its images.
    pub loss_sum: f64,
    /// Images of the epoch whose label was not the first guess.
    pub wrong: u64,
    /// Images of the epoch.
    pub images: u64,
}

impl Position {
    /// Counts a completed step.
    pub fn advance(&mut self) {
        self.step += 1;
        self.batch += 1;
    }

    /// Adds the metrics of a step to the sums of the epoch.
    pub fn add(&mut self, metrics: StepMetrics, images: usize) {
        self.loss_sum += metrics.loss * images as f64;
        self.wrong += metrics.wrong as u64;
        self.images += images as u64;
    }

    /// The epoch's line of the log.
    pub fn validation_line(&self, result: &Evaluation) -> ValidationLine {
        let n = self.images.max(1) as f64;
        ValidationLine {
            step: self.step,
            epoch: self.epoch + 1,
            train_loss: self.loss_sum / n,
            train_top1_error: self.wrong as f64 / n,
            loss: result.loss,
            top1_error: result.top1_error,
            top5_error: result.top5_error,
        }
    }

    /// Begins the next epoch.
    pub fn next_epoch(&mut self) {
        let validated_step = self.validated_step;
        *self = Self { step: self.step, epoch: self.epoch + 1, validated_step, ..Self::default() };
    }
}

/// The `state` of the `training` group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// Fingerprint of the training pack.
    pub train_fingerprint: String,
    /// Fingerprint of the validation pack, or nothing.
    pub val_fingerprint: String,
    /// Steps that the optimizer has made.
    pub optimizer_steps: u64,
    /// Where the run is.
    pub position: Position,
    /// What the schedule has learned.
    pub schedule: ScheduleState,
    /// The checkpoint that validated best so far, which may be this one; unknown in files of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// The configuration.
    pub config: Config,
}

/// A run at one point of time, on the host.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Parameters, network, classes and means.
    pub weights: Weights,
    /// The rest but for the optimizer's tensors.
    pub state: RunState,
    /// The optimizer's tensors by name.
    pub optimizer: Tensors,
}

impl Checkpoint {
    /// Writes the file so that a crash leaves the old one or the new one, after reading back what was written.
    ///
    /// # Errors
    /// As [`hdf5_file::save_with`]: the old file is kept.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(&self.state).map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
        let extra = hdf5_file::Extra { state: text, tensors: self.optimizer.clone() };
        Ok(hdf5_file::save_with(path, &self.weights, Some(&extra))?)
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
        Ok(Self { weights, state, optimizer: extra.tensors })
    }

    /// Takes a run's state off its device.
    pub fn of<B: Backend<Scalar = f32>>(
        network: &Network<B>,
        optimizer: &Optimizer<B>,
        state: RunState,
        packs: &Packs,
        means: &PackMeans,
    ) -> Result<Self> {
        let mut tensors = Vec::new();
        for parameter in network.parameters() {
            tensors.push((parameter.spec.name.clone(), parameter.value.to_array()?));
        }
        let mut slots = Vec::new();
        for (name, tensor) in optimizer.state()?.tensors {
            slots.push((name, tensor.to_array()?));
        }
        let weights = Weights {
            model: Some(network.model().clone()),
            tensors,
            classes: packs.train.classes().to_vec(),
            mean_image: means.image.clone(),
            mean_rgb: means.rgb,
            exif_orientation: packs.train.exif_orientation(),
        };
        Ok(Self { weights, state, optimizer: slots })
    }

    /// Puts a run back where it was.
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

    /// Fails unless the files of the run in the folder `run` still say what the checkpoint says: they may have been edited
    /// since. `config` and `model` are the run's.
    ///
    /// # Errors
    /// [`Error::Resume`] with both values of each setting that differs, or the first line of the network that does.
    pub fn check_run(&self, run: &Path, config: &Config, model: &Model, packs: &Packs) -> Result<()> {
        config.check_resumable(&self.state.config, run)?;
        let before = self.weights.model.as_ref().map(Model::to_toml).unwrap_or_default();
        let now = model.to_toml();
        if before != now {
            let Difference { place, first, second } = Difference::of(&before, &now);
            let differences = vec![format!("model.toml: {place}the network had {first}, now {second}")];
            return Err(Error::Resume { run: run.to_path_buf(), differences });
        }
        self.check_packs(run, packs)
    }

    /// Fails unless the packs are those that the run began with.
    fn check_packs(&self, run: &Path, packs: &Packs) -> Result<()> {
        let now = [packs.train.fingerprint(), packs.val.as_deref().map_or("", Pack::fingerprint)];
        let before = [self.state.train_fingerprint.as_str(), self.state.val_fingerprint.as_str()];
        let differences: Vec<String> = ["--data", "--val"]
            .iter()
            .zip(before.iter().zip(now))
            .filter(|(_, (before, now))| *before != now)
            .map(|(flag, (before, now))| format!("{flag} was a pack of fingerprint {before:?}, now {now:?}"))
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Resume { run: run.to_path_buf(), differences })
    }
}

/// What `model.weights` holds for a network, without the layers in `model.reinit`; nothing if a run begins without.
///
/// # Errors
/// [`Error::Layers`] that lists what is missing, extra or of another shape; [`Error::Setting`] for a layer in `reinit`
/// that the network does not have.
pub fn starting_weights(config: &ModelConfig, model: &Model) -> Result<Option<StartingWeights>> {
    check_reinit(config, model)?;
    let Some(path) = &config.weights else { return Ok(None) };
    // A file that does not say what it is for is taken to be for this network.
    let loaded = load::weights(path, None, &mut |_| {}).or_else(|_| load::weights(path, Some(model), &mut |_| {}))?;
    let own = loaded.weights.model;
    let mut tensors = loaded.weights.tensors;
    let classes = loaded.weights.classes.clone();
    tensors.retain(|(name, _)| !is_reinitialised(config, name));
    let mut whole = Weights { model: Some(model.clone()), tensors: tensors.clone(), ..loaded.weights };
    for spec in model.parameters()?.into_iter().filter(|spec| is_reinitialised(config, &spec.name)) {
        whole.tensors.push((spec.name, ArrayD::zeros(spec.shape)));
    }
    whole.fit(&loaded.path.display().to_string())?;
    let has_last = model.parameters()?.last().is_some_and(|spec| !is_reinitialised(config, &spec.name));
    Ok(Some(StartingWeights { path: loaded.path, own, tensors, classes: if has_last { classes } else { Vec::new() } }))
}

/// Fails for a layer in `model.reinit` that has nothing to begin anew, and if nothing of the weights is left beside them.
fn check_reinit(config: &ModelConfig, model: &Model) -> Result<()> {
    let parameters = model.parameters()?;
    for layer in &config.reinit {
        model.find_layer(layer).map_err(|e| Error::setting("model.reinit", e.to_string()))?;
        let has_parameters = parameters.iter().any(|spec| is_of_layer(&spec.name, layer));
        if !has_parameters {
            let what = format!("{layer:?} has no parameters, so there is nothing to begin anew; leave it out");
            return Err(Error::setting("model.reinit", what));
        }
    }
    if !config.reinit.is_empty() && parameters.iter().all(|spec| is_reinitialised(config, &spec.name)) {
        let what =
            "it names all layers that have parameters, and nothing of model.weights is used; leave the weights out";
        return Err(Error::setting("model.reinit", what));
    }
    Ok(())
}

/// Weights that a run begins with.
pub struct StartingWeights {
    path: PathBuf,
    /// The network that they were trained in, where the file says it.
    own: Option<Model>,
    /// All but those of layers in `model.reinit`.
    pub(crate) tensors: Tensors,
    /// The names of the classes that the last layer has learned; none where they are unknown, or the layer is initialised anew.
    classes: Vec<String>,
}

impl StartingWeights {
    /// Notes for a run that begins with these weights in `model`, on these classes.
    pub fn notes(&self, model: &Model, classes: &[String]) -> Vec<String> {
        self.other_network(model).into_iter().chain(self.other_classes(classes)).collect()
    }

    /// Where the network that these weights were trained in reads the same values otherwise than `model`.
    fn other_network(&self, model: &Model) -> Option<String> {
        let different = compare::readings(self.own.as_ref()?, model);
        let what = format!("{} was trained in a network that reads its values otherwise", self.path.display());
        (!different.is_empty()).then(|| format!("{what}: {}", different.join("; ")))
    }

    /// A note, where these weights were trained on other classes than `classes`, by their names.
    pub fn other_classes(&self, classes: &[String]) -> Option<String> {
        let at = (0..classes.len()).find(|&at| self.classes.get(at) != Some(&classes[at]));
        let at = at.filter(|_| !self.classes.is_empty())?;
        let theirs = self.classes.get(at).map_or("none", String::as_str);
        Some(format!(
            "{} was trained on other classes, or in another order: its class {at} is {theirs:?}, the pack's {:?}; to begin the \
             last layer anew, name it in model.reinit",
            self.path.display(),
            classes[at]
        ))
    }
}

/// Sets the parameters that [`starting_weights`] gives; the others stay as initialised.
pub(crate) fn begin_with<B: Backend<Scalar = f32>>(
    network: &mut Network<B>,
    config: &ModelConfig,
    mut tensors: Tensors,
) -> Result<()> {
    for parameter in network.parameters().iter().filter(|p| is_reinitialised(config, &p.spec.name)) {
        tensors.push((parameter.spec.name.clone(), parameter.value.to_array()?));
    }
    Ok(network.set_parameters("model.weights", &tensors)?)
}

/// Whether a parameter belongs to a layer in `model.reinit`.
fn is_reinitialised(config: &ModelConfig, name: &str) -> bool {
    config.reinit.iter().any(|layer| is_of_layer(name, layer))
}

fn is_of_layer(parameter: &str, layer: &str) -> bool {
    parameter.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'))
}

/// The optimizer of a configuration, without state.
pub fn optimizer<B: Backend>(config: &OptimConfig) -> Result<Optimizer<B>> {
    let rule: Rule = match config.kind {
        OptimKind::Sgd => {
            Sgd { momentum: config.momentum, decay: config.weight_decay, nesterov: config.nesterov }.into()
        }
        OptimKind::Adam => Adam {
            beta1: config.beta1,
            beta2: config.beta2,
            epsilon: config.epsilon,
            decay: config.weight_decay,
            epsilon_hat: config.epsilon_hat,
        }
        .into(),
    };
    Ok(Optimizer::new(rule)?)
}

/// The schedule of a configuration, that has seen nothing yet.
pub fn schedule(config: &OptimConfig) -> Result<Schedule> {
    let factor = config.factor;
    Ok(Schedule::new(match config.schedule {
        ScheduleKind::Constant => ScheduleRule::Constant,
        ScheduleKind::Steps => ScheduleRule::Steps { drop_epochs: config.drop_epochs.clone(), factor },
        ScheduleKind::Exponential => ScheduleRule::Exponential { gamma: factor.powf(1.0 / config.period) },
        ScheduleKind::Plateau => ScheduleRule::Plateau {
            factor,
            patience: config.patience,
            threshold: config.threshold,
            times: config.max_drops,
        },
    })?)
}
