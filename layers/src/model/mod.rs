//! Networks as text: layers, their settings and their input.
//!
//! A [`Model`] is read from TOML, either a preset that is built in or a file. Reading is strict: an unknown kind or
//! key, a setting out of range or layers that do not fit each other are errors that name the file and the layer.

mod compare;
mod edits;
mod file;
mod input;
mod layers;
mod name;
mod parameter;
mod parameter_settings;
mod preset;
mod reader;
mod selection;
pub(crate) mod settings;
mod shape;
mod spelling;
mod writer;

pub(crate) use compare::compare;
pub use edits::{AddedLayer, Edits};
pub use input::{ChannelOrder, Input, Mean};
pub use layers::*;
pub use parameter::{Layout, ParameterSpec};
pub use parameter_settings::ParameterSettings;
pub use settings::Pad;
pub use shape::LayerShape;

use crate::{Error, Result};

/// A network as described in a model file.
///
/// ```
/// use alexnet_layers::Model;
///
/// let mut model = Model::preset("paper")?;
/// model.set_classes(10)?;
/// let parameters: usize = model.parameters()?.iter().map(|spec| spec.len()).sum();
/// assert_eq!(parameters, 60_965_224 - 990 * 4097);
/// assert_eq!(Model::parse(&model.to_toml(), "copy")?, model);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// A short name: 1 to 60 letters, digits, spaces and `_-.+()`, with a letter, a digit or `_` first.
    pub name: String,
    /// A description of the network and the sources of its choices, in a few sentences.
    pub about: String,
    /// How images are prepared for the first layer.
    pub input: Input,
    /// The number of classes: the value of `units = "classes"`.
    pub classes: usize,
    /// The layers in order.
    pub layers: Vec<LayerSpec>,
    /// Defaults for a training run, by section: `optim`, `data`, `run`, and their changes after some epochs, `change`. Their
    /// keys are the trainer's.
    pub train: toml::Table,
}

/// One layer of a model file.
///
/// ```
/// use alexnet_layers::model::LayerSpec;
/// use alexnet_layers::Model;
///
/// let model = Model::preset("one-weird-trick")?;
/// let LayerSpec { name, export, kind } = &model.layers[0];
/// assert_eq!((name.as_str(), export.as_deref(), kind.name()), ("conv1", Some("features.0"), "conv"));
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// Its name, unique in the network.
    pub name: String,
    /// The prefix of its parameters' names in files for other programs, for instance `features.0`.
    pub export: Option<String>,
    /// Its kind and settings.
    pub kind: LayerKind,
}

impl Model {
    /// Sets the number of classes: the last layer's outputs.
    ///
    /// # Errors
    /// [`Error::Model`] for 0 or more than 2^20 classes, or if the network's output does not follow `classes`.
    pub fn set_classes(&mut self, classes: usize) -> Result<()> {
        if !(1..=settings::MAX_COUNT).contains(&classes) {
            return Err(self.error(None, format!("classes must be from 1 to {}, got {classes}", settings::MAX_COUNT)));
        }
        let mut changed = self.clone();
        changed.classes = classes;
        changed.check()?;
        *self = changed;
        Ok(())
    }

    /// Sets the probability of all dropout layers.
    ///
    /// # Errors
    /// [`Error::Model`] unless p is in `[0, 1)`, or if the network has no dropout and p is not 0.
    pub fn set_dropout(&mut self, p: f64) -> Result<()> {
        if !(0.0..1.0).contains(&p) {
            return Err(self.error(None, format!("dropout must be at least 0 and below 1, got {p}")));
        }
        let mut found = false;
        for layer in &mut self.layers {
            if let LayerKind::Dropout(dropout) = &mut layer.kind {
                dropout.p = p;
                found = true;
            }
        }
        if !found && p != 0.0 {
            return Err(self.error(None, "it has no dropout layer whose probability could be set".into()));
        }
        Ok(())
    }

    /// The index of the layer of this name.
    ///
    /// # Errors
    /// [`Error::Model`] that lists the layers if there is none.
    pub fn find_layer(&self, name: &str) -> Result<usize> {
        self.layers.iter().position(|layer| layer.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.layers.iter().map(|layer| layer.name.as_str()).collect();
            let near = spelling::suggestion(name, &names);
            self.error(None, format!("no layer {name:?}{near}; there are {}", names.join(", ")))
        })
    }

    pub(crate) fn error(&self, layer: Option<&str>, what: String) -> Error {
        Error::Model { origin: self.name.clone(), layer: layer.map(str::to_owned), what }
    }
}
