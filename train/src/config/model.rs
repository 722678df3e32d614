//! Settings of the network.

use std::path::PathBuf;

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
        dropout: Option<f64> = None,

        /// Weights file to start from.
        #[default_text = "none"]
        #[range("a file or folder, or left out", |path| path.as_ref().is_none_or(|path| !path.as_os_str().is_empty()))]
        weights: Option<PathBuf> = None,

        /// Layers to initialise anew although the weights file holds them, for another set of classes.
        #[alias = "fresh"]
        #[off = "[]"]
        #[needs(WEIGHTS)]
        reinit: Vec<String> = Vec::new(),
    }
}
