//! Everything that decides a run, as `run.toml` holds it.
//!
//! A setting is one entry in the file of its section: `setting.rs` describes the form. Values come, later ones winning,
//! from the defaults there, the network's `[train]` tables, a configuration file, and single settings. A setting that a
//! user gives must have an effect ([`UserSettings`]).

mod change;
mod class_weights;
mod data;
pub mod docs;
pub mod keys;
mod layer_rates;
mod list;
mod model;
mod optim;
mod optimizer;
mod pca;
mod resume;
mod run;
mod setting;
mod shuffle;
mod tensor;
mod user_settings;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{Error, Result};

pub use change::Change;
pub use class_weights::ClassWeights;
pub use data::{Colour, Crop, DataConfig, Sampling};
pub use list::List;
pub use model::ModelConfig;
pub use optim::{OptimConfig, OptimKind, ScheduleKind};
pub use pca::Pca;
pub use run::{Monitor, RunConfig};
pub use setting::{Condition, OnResume, Section, Setting, settings};
pub use shuffle::Shuffle;
pub use tensor::{AlgorithmsKind, TensorConfig};
pub use user_settings::UserSettings;

/// All settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The network.
    pub model: ModelConfig,
    /// The packs, augmentation and loading.
    pub data: DataConfig,
    /// The optimizer and its schedule.
    pub optim: OptimConfig,
    /// Length, seed, device and checkpoints.
    pub run: RunConfig,
    /// The kernels.
    pub tensor: TensorConfig,
    /// Settings that change in the course of the run, by rising epoch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub change: Vec<Change>,
}

impl Config {
    /// Puts tables of settings over the defaults, later ones winning, and checks every value. Epochs in a table replace
    /// steps in earlier ones. Each table comes with its origin, for errors.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the setting, its origin and what is allowed.
    pub fn from_overrides(overrides: &[(String, Table)]) -> Result<Self> {
        let mut merged = Table::new();
        for (origin, table) in overrides {
            let table = keys::with_current_names(table).map_err(|e| prefix(origin, e))?;
            if keys::value(&table, "run.epochs").is_some() {
                remove_steps(&mut merged);
            }
            merge(&mut merged, &table);
        }
        let mut config = Self::of_table(merged)?;
        config.fill_decay_epochs();
        config.check_changes()?;
        Ok(config)
    }

    /// The settings in a table over the defaults.
    fn of_table(table: Table) -> Result<Self> {
        let config: Self = Value::Table(table).try_into().map_err(|e| wrong_type(&e))?;
        config.check_ranges()?;
        Ok(config)
    }

    /// Lets a falling schedule without a length fall over the whole run.
    fn fill_decay_epochs(&mut self) {
        if optim::is_decay(self) && self.optim.decay_epochs == 0.0 && self.run.steps.is_none() {
            self.optim.decay_epochs = self.run.epochs as f64;
        }
    }

    /// A note on a schedule whose length is not that of the run, in epochs.
    pub(crate) fn schedule_note(&self) -> Option<String> {
        let Self { optim, run, .. } = self;
        if run.steps.is_some() {
            return None;
        }
        let epochs = run.epochs as f64;
        if optim.warmup_epochs >= epochs {
            return Some(format!("optim.warmup_epochs is {}, and the run ends after {epochs}", optim.warmup_epochs));
        }
        if !optim::is_decay(self) || optim.decay_epochs == epochs {
            return None;
        }
        let decay = optim.decay_epochs;
        Some(if decay < epochs {
            format!(
                "optim.decay_epochs is {decay}: the learning rate stays at its end for the rest of the {epochs} epochs"
            )
        } else {
            format!(
                "optim.decay_epochs is {decay}: the run ends after {epochs} epochs, before the learning rate has fallen"
            )
        })
    }

    /// Checks every value against its range.
    fn check_ranges(&self) -> Result<()> {
        let Some(setting) = settings().find(|setting| !(setting.in_range)(self)) else { return Ok(()) };
        let value = keys::value(&self.to_table(), setting.key).map_or("nothing".to_string(), shown);
        let range = setting.range.unwrap_or("another value");
        Err(Error::setting(setting.key, format!("must be {range}, got {value}")))
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
        Self::from_overrides(&[(origin.to_string(), parse_table(origin, text)?)])
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

/// A value as TOML, with a power of ten in place of many zeros.
fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) if number.abs() >= 1e16 && number.is_finite() => format!("{number:e}"),
        Value::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<String>>().join(", ")),
        other => other.to_string(),
    }
}

fn remove_steps(table: &mut Table) {
    if let Some(Value::Table(run)) = table.get_mut("run") {
        run.remove("steps");
    }
}

/// The error of a value of the wrong type. Only the last line of `error` has the setting's name.
fn wrong_type(error: &toml::de::Error) -> Error {
    let text = error.to_string();
    let key = text.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    let found = error.message().strip_prefix("invalid type: string \"").and_then(|rest| rest.split('"').next());
    let what = match found.filter(|text| is_too_large(text)) {
        Some(text) => format!("{text} is too large a number"),
        None => in_plain_words(error.message()),
    };
    Error::setting(key.unwrap_or("settings"), what)
}

/// The message of a wrong type without the names that types have in Rust.
fn in_plain_words(message: &str) -> String {
    let Some((before, expected)) = message.rsplit_once("expected ") else { return message.to_string() };
    let words = match expected {
        "f32" | "f64" => "a number",
        "u64" | "usize" => "a whole number of at least 0",
        "a sequence" => "a list, such as [1, 2]",
        "a boolean" => "true or false",
        other => other,
    };
    format!("{before}expected {words}")
}

/// Whether a text is a number too large for TOML, which is why it was taken for a text.
fn is_too_large(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|number| number.abs() >= i64::MAX as f64)
        && text.contains(|c: char| c.is_ascii_digit())
}

fn prefix(origin: &str, error: Error) -> Error {
    match error {
        Error::Setting { key, what, remedy } => Error::Setting { key: format!("{origin}: {key}"), what, remedy },
        other => other,
    }
}
