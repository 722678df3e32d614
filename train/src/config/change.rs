//! Settings that change in the course of a run.

use layers::Model;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::layer_rates::in_setting;
use super::resume::state_of;
use super::{Config, ModelConfig, Setting, keys, merge, prefix, settings};
use crate::{Error, Result};

/// Settings that hold from an epoch on: an entry of `[[change]]`.
///
/// ```
/// use alexnet_train::Config;
///
/// let toml = "[[change]]\nat_epoch = 67\ndata.colour = 'none'\nmodel.lr_multipliers = ['conv1=0.1']";
/// let config = Config::parse("mine.toml", toml)?;
/// assert_eq!(config.at_epoch(67.0)?.model.lr_multipliers.to_vec(), ["conv1=0.1"]);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The passes over the training images after which they hold, with fractions: from the first step on that begins then
    /// or later.
    pub at_epoch: f64,
    /// The settings, by section.
    #[serde(flatten)]
    pub settings: Table,
}

impl Change {
    /// The settings in it.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Setting> {
        settings().filter(|setting| keys::value(&self.settings, setting.key).is_some())
    }

    /// Its origin in errors.
    pub(super) fn origin(&self) -> String {
        format!("[[change]] at epoch {}", self.at_epoch)
    }
}

impl Config {
    /// The settings that hold after this many epochs. `model.lr_multipliers`, `model.freeze` and `model.dropout` are those of
    /// [`changes_of_model`](Self::changes_of_model).
    ///
    /// # Errors
    /// [`Error::Setting`] for a value outside its range.
    pub fn at_epoch(&self, epoch: f64) -> Result<Self> {
        let mut table = self.to_table();
        table.remove("change");
        let mut origin = String::new();
        for change in self.change.iter().filter(|change| change.at_epoch <= epoch) {
            merge(&mut table, &change.settings);
            origin = change.origin();
        }
        Self::of_table(table).map_err(|error| if origin.is_empty() { error } else { prefix(&origin, error) })
    }

    /// The settings of the network that changes have made after this many epochs. They are relative to the network as the
    /// run began, and the later of two changes of a setting replaces the earlier.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value outside its range.
    pub fn changes_of_model(&self, epoch: f64) -> Result<ModelConfig> {
        let mut table = Table::new();
        for change in self.change.iter().filter(|change| change.at_epoch <= epoch) {
            merge(&mut table, &change.settings);
        }
        Ok(Self::of_table(table)?.model)
    }

    /// A network, as the run begins, with the changes that are made after this many epochs.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the change whose pattern selects no layer, or that leaves nothing to train.
    pub(crate) fn changed_model(&self, model: &Model, epoch: f64) -> Result<Model> {
        let mut changed = model.clone();
        let last = self.change.iter().rfind(|change| change.at_epoch <= epoch);
        let named = |error| match last {
            Some(change) => prefix(&change.origin(), error),
            None => error,
        };
        self.changes_of_model(epoch)?.apply_change_to(&mut changed).map_err(named)?;
        Ok(changed)
    }

    /// Checks that all changes come in order, and change what may change in the course of a run to allowed values.
    pub(super) fn check_changes(&self) -> Result<()> {
        let mut last = -1.0;
        for change in &self.change {
            let fail = |what: String| Err(Error::setting(change.origin(), what));
            if !(change.at_epoch > last && (0.0..=1e9).contains(&change.at_epoch)) {
                return fail("at_epoch must be in [0, 1e9], and later than that of the change before it".into());
            }
            last = change.at_epoch;
            if change.keys().next().is_none() {
                return fail("changes nothing; name settings in it, such as optim.lr = 0.001".into());
            }
            if let Some(setting) = change.keys().find(|setting| !setting.timed) {
                let timed: Vec<&str> = settings().filter(|s| s.timed).map(|s| s.key).collect();
                let what = "cannot change in the course of a run; those that can are";
                return fail(format!("{} {what} {}", setting.key, timed.join(", ")));
            }
            let config = self.at_epoch(change.at_epoch)?;
            if state_of(&config.optim) != state_of(&self.optim) {
                return fail("optim.momentum cannot begin or end in rmsprop: its state would not fit".into());
            }
        }
        Ok(())
    }
}

impl ModelConfig {
    /// Changes the network of a run as a change says: `dropout`, `lr_multipliers`, and `freeze`, which counts for layers that
    /// have a multiplier too.
    ///
    /// # Errors
    /// [`Error::Setting`] for a pattern that selects no layer, and if nothing is left to train.
    fn apply_change_to(&self, model: &mut Model) -> Result<()> {
        if let Some(p) = self.dropout {
            model.set_dropout(p)?;
        }
        for (layer, factor) in self.multipliers(model)? {
            model.multiply_rate(&layer, factor).map_err(in_setting("model.lr_multipliers"))?;
        }
        for pattern in self.freeze.iter() {
            for layer in model.select_layers(pattern).map_err(in_setting("model.freeze"))? {
                model.freeze_layer(&layer).map_err(in_setting("model.freeze"))?;
            }
        }
        if model.parameters()?.iter().any(|spec| spec.is_trainable()) {
            return Ok(());
        }
        Err(Error::setting("model.freeze", "no layer is left to train; leave at least the last one out"))
    }
}

/// The entries of `[[change]]` with former names of settings replaced by the current ones.
pub(super) fn with_current_names(value: &Value) -> Result<Value> {
    let form = || Error::setting("change", "expected tables: [[change]] with at_epoch = EPOCH and settings below it");
    let entries = value.as_array().ok_or_else(form)?;
    let mut current = Vec::new();
    for entry in entries {
        let mut sections = entry.as_table().ok_or_else(form)?.clone();
        let epoch = sections.remove("at_epoch").ok_or_else(form)?;
        let origin = format!("[[change]] at epoch {epoch}");
        let mut table = keys::with_current_names(&sections).map_err(|error| prefix(&origin, error))?;
        table.insert("at_epoch".into(), epoch);
        current.push(Value::Table(table));
    }
    Ok(Value::Array(current))
}
