//! Names for the layers of networks whose files have none that fit.

use std::collections::BTreeSet;

use layers::LayerKind;
use layers::tensor::ops::Activation;

use crate::chain::Link;

/// Gives each layer its name: the file's if all of the file's are fit to be read, else `conv1`, `relu1`, ... `fc8` as
/// Caffe counts.
pub(crate) struct LayerNames {
    keep: bool,
    /// The number of layers with weights so far.
    number: usize,
    taken: BTreeSet<String>,
}

impl LayerNames {
    /// Names for these layers.
    pub fn new(links: &[Link]) -> Self {
        let named = || links.iter().filter(|link| !is_made_here(link));
        let names: BTreeSet<&str> = named().map(|link| link.name.as_str()).collect();
        let keep = names.len() == named().count() && names.iter().all(|name| is_fit(name));
        Self { keep, number: 0, taken: BTreeSet::new() }
    }

    /// The name of the next layer.
    pub fn next_for(&mut self, link: &Link) -> String {
        if matches!(link.kind, LayerKind::Conv(_) | LayerKind::Local(_) | LayerKind::Linear(_)) {
            self.number += 1;
        }
        let wanted = if self.keep && !is_made_here(link) { link.name.clone() } else { self.counted(&link.kind) };
        let mut name = wanted.clone();
        let mut letters = 'b'..='z';
        while !self.taken.insert(name.clone()) {
            let tail = letters.next().map_or_else(|| format!("-{}", self.taken.len()), String::from);
            name = format!("{wanted}{tail}");
        }
        name
    }

    fn counted(&self, kind: &LayerKind) -> String {
        let stem = match kind {
            LayerKind::Softmax => return "softmax".into(),
            LayerKind::Flatten => return "flatten".into(),
            LayerKind::Conv(_) => "conv",
            LayerKind::Local(_) => "local",
            LayerKind::Linear(_) => "fc",
            LayerKind::Activation(Activation::Relu) => "relu",
            LayerKind::Activation(Activation::Tanh) => "tanh",
            LayerKind::Activation(_) => "logistic",
            LayerKind::Lrn(_) => "norm",
            LayerKind::Dropout(_) => "drop",
            LayerKind::BatchNorm(_) => "bn",
            _ => "pool",
        };
        format!("{stem}{}", self.number)
    }
}

/// Layers that the reader may add itself.
fn is_made_here(link: &Link) -> bool {
    matches!(link.kind, LayerKind::Softmax | LayerKind::Flatten)
}

/// Whether a name was given by a person: exporters write `/features/features.0/Conv`, `node_relu_3`, `Conv_0`, `n15`.
fn is_fit(name: &str) -> bool {
    let marks = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let counted = name.trim_start_matches("node").trim_start_matches(['n', '_']);
    let is_counted = !counted.is_empty() && counted.chars().all(|c| c.is_ascii_digit());
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    first && marks && name.len() <= 64 && !name.starts_with("node_") && !is_counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_told_from_names_of_exporters() {
        for name in ["conv1", "fc6", "norm-2", "pool_5", "drop6"] {
            assert!(is_fit(name), "{name}");
        }
        for name in ["", "/features/features.0/Conv", "node_relu_3", "Conv_0", "n15", "12", "features.0", "node3"] {
            assert!(!is_fit(name), "{name}");
        }
    }
}
