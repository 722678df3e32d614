//! The order of layers in a file that describes no network.

use std::collections::VecDeque;

use layers::weights::AxisOrder;
use layers::{LayerKind, Model};

use crate::{ForeignFile, ForeignTensor};

/// A kind of layer that has variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Conv,
    BatchNorm,
    Dense,
}

/// Puts the tensors of a `.weights.h5` in the order of a network's layers: it numbers the layers of each kind, so that the
/// second convolution is the network's second one. A file of other layers, or of another framework, stays as it is.
pub(crate) fn arrange(file: &mut ForeignFile, model: &Model) {
    if file.axes != AxisOrder::Keras || file.model.is_some() {
        return;
    }
    let same_layer = |a: &ForeignTensor, b: &ForeignTensor| layer_of(&a.name) == layer_of(&b.name);
    let mut found: Vec<(Kind, VecDeque<Vec<ForeignTensor>>)> = Vec::new();
    for layer in file.tensors.chunk_by(same_layer) {
        let Some(kind) = kind_of(layer) else { return };
        match found.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, layers)) => layers.push_back(layer.to_vec()),
            None => found.push((kind, VecDeque::from([layer.to_vec()]))),
        }
    }
    let mut arranged = Vec::with_capacity(file.tensors.len());
    for layer in &model.layers {
        let kind = match layer.kind {
            LayerKind::Conv(_) => Kind::Conv,
            LayerKind::BatchNorm(_) => Kind::BatchNorm,
            LayerKind::Linear(_) => Kind::Dense,
            _ => continue,
        };
        let next = found.iter_mut().find(|(known, _)| *known == kind).and_then(|(_, layers)| layers.pop_front());
        let Some(next) = next else { return };
        arranged.extend(next);
    }
    if found.iter().all(|(_, layers)| layers.is_empty()) {
        file.tensors = arranged;
    }
}

fn layer_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer)
}

fn kind_of(layer: &[ForeignTensor]) -> Option<Kind> {
    match (layer[0].values.ndim(), layer.len()) {
        (4, 1 | 2) => Some(Kind::Conv),
        (2, 1 | 2) => Some(Kind::Dense),
        (1, 4) => Some(Kind::BatchNorm),
        _ => None,
    }
}
