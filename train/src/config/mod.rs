//! Everything that decides a run, as `run.toml` holds it.
//!
//! Values come, later ones winning, from the defaults here, the network's `[train]` tables, a configuration file, and
//! single settings. [`keys`] lists every one of them. What a user gives must have an effect ([`Given`]).

mod data;
mod given;
pub mod keys;
mod resume;
mod validate;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{Error, Result};

pub use data::{Colour, Crop, DataConfig, Pca, Shuffle};
pub use given::Given;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The network.
    pub model: ModelConfig,
    /// The images.
    pub data: DataConfig,
    /// The optimizer and its schedule.
    pub optim: OptimConfig,
    /// Length, seed and machine.
    pub run: RunConfig,
    /// How kernels compute.
    pub tensor: TensorConfig,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// A preset's name or a TOML file.
    pub name: String,
    /// Probability of every dropout layer, in place of the network's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// A file of weights to begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Layers that are initialised anew although `weights` holds them, for another set of classes.
    pub fresh: Vec<String>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { name: "paper".into(), dropout: None, weights: None, fresh: Vec::new() }
    }
}

/// Which optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimKind {
    /// Gradient descent with momentum (paper, section 5).
    Sgd,
    /// Adam.
    Adam,
}

/// How the rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// It does not.
    Constant,
    /// By `factor` at each of `drop_epochs`.
    Steps,
    /// By `factor` every `period` epochs, smoothly.
    Exponential,
    /// By `factor` when the validation error stops improving (paper, section 5).
    Plateau,
}

/// The optimizer and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimConfig {
    /// Which optimizer.
    pub kind: OptimKind,
    /// The learning rate to begin with.
    pub rate: f64,
    /// SGD: the share of the last step that is kept.
    pub momentum: f64,
    /// Weight decay.
    pub decay: f64,
    /// SGD: Nesterov's form.
    pub nesterov: bool,
    /// Adam: decay of the first moment.
    pub beta1: f64,
    /// Adam: decay of the second moment.
    pub beta2: f64,
    /// Adam: added to the root.
    pub epsilon: f64,
    /// Adam: add epsilon before the bias correction, as Keras does.
    pub epsilon_hat: bool,
    /// How the rate falls.
    pub schedule: ScheduleKind,
    /// Steps, exponential, plateau: what the rate is multiplied by.
    pub factor: f64,
    /// Steps: the epochs, which may have fractions, after which the rate drops.
    pub drop_epochs: Vec<f64>,
    /// Exponential: epochs for one factor.
    pub period: f64,
    /// Plateau: epochs without improvement before a drop.
    pub patience: u32,
    /// Plateau: how much lower an error must be to count, as a fraction of images.
    pub threshold: f64,
    /// Plateau: how often the rate drops.
    pub times: u32,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            kind: OptimKind::Sgd,
            rate: 0.01,
            momentum: 0.9,
            decay: 0.0005,
            nesterov: false,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            epsilon_hat: false,
            schedule: ScheduleKind::Constant,
            factor: 0.1,
            drop_epochs: Vec::new(),
            period: 1.0,
            patience: 5,
            threshold: 0.0005,
            times: 3,
        }
    }
}

/// Length, seed and machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Passes over the training images.
    pub epochs: u64,
    /// Steps, in place of epochs: of a file that has both, these count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Images a step.
    pub batch: usize,
    /// Decides initial weights, order, augmentation and dropout.
    pub seed: u64,
    /// Threads for kernels, and as many for loading; 0 is not allowed.
    pub threads: usize,
    /// Where to compute: as `--device` takes it; a run's own file has what `auto` chose.
    pub device: String,
    /// Number format of layers' outputs and of products: f32, tf32 or bf16.
    pub precision: String,
    /// Also save every so many steps, beside the ends of epochs (those that are best or not too close); 0: not.
    pub checkpoint_steps: u64,
    /// Checkpoints kept, beside the best.
    pub keep: usize,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            epochs: 90,
            steps: None,
            batch: 128,
            seed: 1,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            device: "auto".into(),
            precision: "f32".into(),
            checkpoint_steps: 0,
            keep: 2,
        }
    }
}

/// Which algorithms the CPU's convolutions may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlgorithmsKind {
    /// Winograd's too, where they are faster.
    #[default]
    Fast,
    /// Sums of products only.
    Exact,
}

impl From<AlgorithmsKind> for tensor::Algorithms {
    fn from(kind: AlgorithmsKind) -> Self {
        match kind {
            AlgorithmsKind::Fast => Self::Fast,
            AlgorithmsKind::Exact => Self::Exact,
        }
    }
}

/// How kernels compute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TensorConfig {
    /// On the CPU: `fast`, or `exact`, which rounds less and takes up to twice as long.
    pub algorithms: AlgorithmsKind,
}

impl Config {
    /// Puts layers of settings over the defaults, later ones winning, and checks every value. Epochs in a layer take the place of
    /// steps in those before it.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the setting, its origin and what is allowed.
    pub fn from_layers(layers: &[(String, Table)]) -> Result<Self> {
        let mut merged = Table::new();
        for (origin, table) in layers {
            keys::check(table).map_err(|e| prefix(origin, e))?;
            if keys::value(table, "run.epochs").is_some() {
                forget_steps(&mut merged);
            }
            merge(&mut merged, table);
        }
        let config: Self = Value::Table(merged).try_into().map_err(|e| of_a_value(&e))?;
        config.validate()?;
        Ok(config)
    }

    /// The text of `run.toml`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The settings as a table.
    pub fn to_table(&self) -> Table {
        Table::try_from(self).unwrap_or_default()
    }

    /// Reads `run.toml`'s text.
    ///
    /// # Errors
    /// [`Error::Setting`] that names `origin`.
    pub fn parse(origin: &str, text: &str) -> Result<Self> {
        Self::from_layers(&[(origin.to_string(), parse_table(origin, text)?)])
    }
}

/// Reads TOML; the error names `origin`.
pub fn parse_table(origin: &str, text: &str) -> Result<Table> {
    text.parse().map_err(|e: toml::de::Error| Error::setting(origin, e.to_string()))
}

/// Puts `from` over `into`, table by table.
pub fn merge(into: &mut Table, from: &Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn forget_steps(table: &mut Table) {
    if let Some(Value::Table(run)) = table.get_mut("run") {
        run.remove("steps");
    }
}

/// A value of the wrong kind, by the setting's name, which only the error's last line tells.
fn of_a_value(error: &toml::de::Error) -> Error {
    let text = error.to_string();
    let key = text.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    let came = error.message().strip_prefix("invalid type: string \"").and_then(|rest| rest.split('"').next());
    let what = match came.filter(|came| is_too_large(came)) {
        Some(came) => format!("{came} is too large a number"),
        None => error.message().to_string(),
    };
    Error::setting(key.unwrap_or("settings"), what)
}

/// Whether a text is a number beyond what TOML can hold: it was taken for a text for that reason.
fn is_too_large(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|number| number.abs() >= i64::MAX as f64)
        && text.contains(|c: char| c.is_ascii_digit())
}

fn prefix(origin: &str, error: Error) -> Error {
    match error {
        Error::Setting { key, what } => Error::setting(format!("{origin}: {key}"), what),
        other => other,
    }
}
