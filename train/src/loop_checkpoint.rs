//! Checkpoints of training loops of one's own.
//!
//! The file is that of a [run's checkpoints](crate::checkpoint): HDF5 with a CRC-32C of every tensor and text, parameters
//! in the group `parameters`, the state of optimizers in `training/optimizer`, and `training/state` as TOML.

mod folder;

use std::collections::BTreeMap;
use std::path::Path;

use layers::Parameters;
use layers::weights::Weights;
use layers::weights::hdf5_file::{self, Parts, TensorSource};
use ndarray::ArrayD;
use optim::{Optimizer, Schedule, ScheduleState, State};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tensor::{Backend, Tensor};

use crate::checkpoint::{Tensors, split_training_tensors, training_tensors};
use crate::{Error, Progress, Result, WeightAverage};

pub use folder::CheckpointFolder;

/// Version of the state that this crate writes. It reads all versions up to it.
const VERSION: u32 = 1;
/// The value of `kind` that distinguishes the state from that of a run.
const KIND: &str = "loop";

/// A checkpoint of a training loop: modules, optimizers, the schedule, the position, and state of one's own.
///
/// Several modules and optimizers have a prefix each; for a single one it is empty.
///
/// ```
/// use alexnet_train::layers::{Model, Network};
/// use alexnet_train::optim::{Optimizer, Sgd};
/// use alexnet_train::tensor::Cpu;
/// use alexnet_train::LoopCheckpoint;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("loop.h5");
/// let cpu = Cpu::<f32>::new(1)?;
/// let network = Network::new(&cpu, &Model::preset("linear")?, 1)?;
/// let sgd = Optimizer::<Cpu<f32>>::new(Sgd::default())?;
/// let checkpoint = LoopCheckpoint::new().with_module("", &network)?.with_optimizer("", &sgd)?.with_state(&7)?;
/// checkpoint.save(&path)?;
///
/// let mut other = Network::new(&cpu, &Model::preset("linear")?, 2)?;
/// let saved = LoopCheckpoint::load(&path)?;
/// saved.restore_module("", &mut other)?;
/// assert_eq!(other.parameters()[0].value.to_vec()?, network.parameters()[0].value.to_vec()?);
/// assert_eq!(saved.state::<i32>()?, 7);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoopCheckpoint {
    parameters: Tensors,
    optimizer: Tensors,
    average: Tensors,
    text: LoopState,
}

/// The text of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoopState {
    kind: String,
    version: u32,
    /// Steps that each optimizer has taken, by its prefix.
    #[serde(default)]
    optimizer_steps: BTreeMap<String, u64>,
    #[serde(default = "one")]
    rate_factor: f64,
    #[serde(default)]
    average_updates: u64,
    #[serde(default)]
    progress: Progress,
    #[serde(default)]
    schedule: ScheduleState,
    /// State of the loop's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<Own>,
}

/// A value of one's own: TOML has only tables at the top of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Own {
    value: toml::Value,
}

fn one() -> f64 {
    1.0
}

impl LoopCheckpoint {
    /// A checkpoint of nothing yet.
    pub fn new() -> Self {
        let text = LoopState { kind: KIND.into(), version: VERSION, rate_factor: 1.0, ..LoopState::default() };
        Self { text, ..Self::default() }
    }

    /// Adds the parameters of a module, running statistics included. Their names begin with `prefix` and a point, unless
    /// it is empty.
    ///
    /// # Errors
    /// Those of the device.
    pub fn with_module<B: Backend<Scalar = f32>>(
        mut self,
        prefix: &str,
        module: &(impl Parameters<B> + ?Sized),
    ) -> Result<Self> {
        let mut parameters = Vec::new();
        module.visit(prefix, &mut |name, parameter| parameters.push((name.to_string(), parameter)));
        for (name, parameter) in parameters {
            self.parameters.push((name, parameter.value.to_array()?));
        }
        Ok(self)
    }

    /// Adds the state of an optimizer.
    ///
    /// # Errors
    /// Those of the device.
    pub fn with_optimizer<B: Backend<Scalar = f32>>(mut self, prefix: &str, optimizer: &Optimizer<B>) -> Result<Self> {
        let State { steps, tensors, .. } = optimizer.state()?;
        for (name, tensor) in tensors {
            self.optimizer.push((joined(prefix, &name), tensor.to_array()?));
        }
        self.text.optimizer_steps.insert(prefix.into(), steps);
        Ok(self)
    }

    /// Adds the state of a schedule, and a factor of its learning rate.
    pub fn with_schedule(mut self, schedule: &Schedule, rate_factor: f64) -> Self {
        self.text.schedule = schedule.state().clone();
        self.text.rate_factor = rate_factor;
        self
    }

    /// Adds the moving average of the weights.
    ///
    /// # Errors
    /// Those of the device.
    pub fn with_average<B: Backend<Scalar = f32>>(mut self, average: &WeightAverage<B>) -> Result<Self> {
        self.average = average.to_arrays()?;
        self.text.average_updates = average.updates();
        Ok(self)
    }

    /// Adds the position.
    pub fn with_progress(mut self, progress: &Progress) -> Self {
        self.text.progress = progress.clone();
        self
    }

    /// Adds a value of one's own. Together with the names in the position it may take about 60,000 bytes as TOML.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that TOML cannot hold, such as a number above `i64::MAX`.
    pub fn with_state<T: Serialize>(mut self, state: &T) -> Result<Self> {
        let value = toml::Value::try_from(state)
            .map_err(|e| Error::setting("state of the loop", format!("cannot be saved: {e}")))?;
        self.text.own = Some(Own { value });
        Ok(self)
    }

    /// Writes the file so that a crash leaves the old one or the new one, after reading back what was written.
    ///
    /// # Errors
    /// Those of [`hdf5_file::save_parts`]: the old file is kept.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(&self.text).map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
        let parameters = self.parameters.iter().map(|(name, values)| TensorSource::of_array(name, values)).collect();
        let training = Some((text.as_str(), training_tensors(&self.optimizer, &self.average)));
        Ok(hdf5_file::save_parts(path, &Parts { description: &Weights::default(), parameters, training })?)
    }

    /// Reads a checkpoint, checking every checksum.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Layers`] that names the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self> {
        let (weights, extra) = hdf5_file::load_with(path)?;
        let extra = extra.ok_or_else(|| Error::file(path, "holds weights but no training state: not a checkpoint"))?;
        let table: toml::Table = extra
            .state
            .parse()
            .map_err(|e: toml::de::Error| Error::file(path, format!("its state is not readable: {}", e.message())))?;
        if table.get("kind").and_then(toml::Value::as_str) != Some(KIND) {
            return Err(Error::file(path, "is the checkpoint of a run, which `checkpoint::Checkpoint` reads"));
        }
        let text: LoopState =
            table.try_into().map_err(|e| Error::file(path, format!("its state is not readable: {}", e.message())))?;
        if text.version > VERSION {
            let what = format!("written by version {}, this reads up to {VERSION}", text.version);
            return Err(Error::file(path, what));
        }
        let [optimizer, average] = split_training_tensors(extra.tensors);
        Ok(Self { parameters: weights.tensors, optimizer, average, text })
    }

    /// Sets the parameters of a module. If one does not fit, none is set.
    ///
    /// # Errors
    /// [`Error::Layers`] that lists the parameters that are missing, extra or of another shape; those of the device.
    pub fn restore_module<B: Backend<Scalar = f32>>(
        &self,
        prefix: &str,
        module: &mut (impl Parameters<B> + ?Sized),
    ) -> Result<()> {
        let mut parameters = Vec::new();
        module.visit_mut(prefix, &mut |name, parameter| parameters.push((name.to_string(), parameter)));
        let mut saved = of_prefix(&self.parameters, prefix, '.');
        let mut missing = Vec::new();
        let mut mismatched = Vec::new();
        let mut values = Vec::new();
        for (name, parameter) in parameters {
            let expected = parameter.value.shape().to_vec();
            match saved.remove(name.as_str()) {
                None => missing.push(name),
                Some(found) if found.shape() != expected => mismatched.push((name, expected, found.shape().to_vec())),
                Some(found) => values.push((parameter, found)),
            }
        }
        let extra: Vec<String> = saved.keys().map(|name| name.to_string()).collect();
        if !(missing.is_empty() && extra.is_empty() && mismatched.is_empty()) {
            let origin = "the checkpoint".to_string();
            return Err(layers::Error::Parameters { origin, missing, extra, mismatched }.into());
        }
        let upload = |(parameter, found): (_, &ArrayD<f32>)| {
            let parameter: &mut layers::Parameter<B> = parameter;
            let value = Tensor::from_array(parameter.value.device(), found.view())?;
            Ok((parameter, value))
        };
        for (parameter, value) in values.into_iter().map(upload).collect::<Result<Vec<_>>>()? {
            parameter.value = value;
        }
        Ok(())
    }

    /// Restores the state of an optimizer with the same rule.
    ///
    /// # Errors
    /// [`Error::Setting`] if the checkpoint has no optimizer of this prefix; [`Error::Optim`] if its rule is another; those
    /// of the device.
    pub fn restore_optimizer<B: Backend<Scalar = f32>>(
        &self,
        prefix: &str,
        device: &B,
        optimizer: &mut Optimizer<B>,
    ) -> Result<()> {
        let steps = self.text.optimizer_steps.get(prefix).copied();
        let missing = || Error::setting("optimizer", format!("the checkpoint has none of prefix {prefix:?}"));
        let steps = steps.ok_or_else(missing)?;
        let others: Vec<&String> = self.text.optimizer_steps.keys().filter(|other| **other != prefix).collect();
        let is_of_other = |name: &str| others.iter().any(|other| !other.is_empty() && is_below(name, other, '/'));
        let mut tensors = Vec::new();
        for (name, values) in of_prefix(&self.optimizer, prefix, '/') {
            if prefix.is_empty() && is_of_other(name) {
                continue;
            }
            let own = if prefix.is_empty() { name } else { &name[prefix.len() + 1..] };
            tensors.push((own.to_string(), Tensor::from_array(device, values.view())?));
        }
        Ok(optimizer.load_state(State { steps, tensors })?)
    }

    /// Restores the state of a schedule, and returns the factor of its learning rate.
    ///
    /// # Errors
    /// [`Error::Optim`] for a state that this schedule cannot have reached.
    pub fn restore_schedule(&self, schedule: &mut Schedule) -> Result<f64> {
        schedule.load_state(self.text.schedule.clone())?;
        Ok(self.text.rate_factor)
    }

    /// Restores the moving average of the weights of the same module.
    ///
    /// # Errors
    /// [`Error::Setting`] if the checkpoint has none of a parameter; those of the device.
    pub fn restore_average<B: Backend<Scalar = f32>>(&self, average: &mut WeightAverage<B>) -> Result<()> {
        average.restore(&self.average, self.text.average_updates)
    }

    /// The position.
    pub fn progress(&self) -> &Progress {
        &self.text.progress
    }

    /// The value of one's own.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none, or one of another type.
    pub fn state<T: DeserializeOwned>(&self) -> Result<T> {
        let unreadable = |what: String| Error::setting("state of the loop", what);
        let own = self.text.own.as_ref().ok_or_else(|| unreadable("the checkpoint has none".into()))?;
        own.value.clone().try_into().map_err(|e| unreadable(format!("it is of another type: {}", e.message())))
    }

    /// The parameters by name.
    pub fn parameters(&self) -> &Tensors {
        &self.parameters
    }
}

fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") }
}

/// Whether a name is that of a part of `prefix`.
fn is_below(name: &str, prefix: &str, separator: char) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(separator))
}

/// The tensors whose names begin with a prefix, by their whole names.
fn of_prefix<'a>(tensors: &'a Tensors, prefix: &str, separator: char) -> BTreeMap<&'a str, &'a ArrayD<f32>> {
    let is_of_prefix = |name: &str| prefix.is_empty() || is_below(name, prefix, separator);
    tensors.iter().filter(|(name, _)| is_of_prefix(name)).map(|(name, values)| (name.as_str(), values)).collect()
}
