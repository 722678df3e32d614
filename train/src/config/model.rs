//! Settings of the network.

use std::path::PathBuf;

use super::List;
use super::layer_rates::parse_multiplier;
use super::setting::{Condition, is_fraction, section};

const WEIGHTS: Condition = Condition {
    needed: "`model.weights`",
    holds: |config| config.model.weights.is_some(),
    decided_by: "model.weights",
    advice: "set model.weights=FILE, the weights of the other layers",
};

section! {
    /// Network
    model: ModelConfig {
        /// Preset or path of a TOML file.
        #[range("a preset's name or a file", |name| !name.is_empty())]
        name: String = "paper".into(),

        /// Probability of every dropout layer.
        #[default_text = "that of the network file"]
        #[range("in [0, 1)", |p| p.as_ref().is_none_or(is_fraction))]
        #[timed = true]
        dropout: Option<f64> = None,

        /// Weights file to start from.
        #[default_text = "none"]
        #[range("a file or folder, or left out", |path| path.as_ref().is_none_or(|path| !path.as_os_str().is_empty()))]
        weights: Option<PathBuf> = None,

        /// Layers to initialise anew although the weights file holds them, for another set of classes. The last layer
        /// is, without this setting, if the file has another number of classes.
        #[alias = "fresh"]
        #[off = "[]"]
        #[needs(WEIGHTS)]
        reinit: List = List::default(),

        /// Layers to freeze: names, globs (`conv*`) and ranges (`conv1..conv5`). They keep their parameters, and batch
        /// norms use their running statistics in training too. No gradient is computed for frozen layers before the
        /// first other one.
        #[off = "[]"]
        #[timed = true]
        freeze: List = List::default(),

        /// Multipliers of the learning rates of layers, such as `conv*=0.1`; the layers are named as for `freeze`, and
        /// the last entry for a layer counts.
        #[range("entries like conv*=0.1, with a number of at least 0 that f32 holds", |entries| {
            entries.iter().all(|entry| parse_multiplier(entry).is_some())
        })]
        #[off = "[]"]
        #[timed = true]
        lr_multipliers: List = List::default(),

        /// Factor of the learning rate from each layer with weights to the one before it; the last layer has the whole
        /// rate (timm's `--layer-decay`).
        #[range("in (0, 1]", |factor| *factor > 0.0 && *factor <= 1.0)]
        #[off = "1.0"]
        layer_decay: f64 = 1.0,
    }
}
