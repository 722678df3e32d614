//! The order of layers in a file that describes no network.

use std::collections::VecDeque;

use layers::{LayerKind, Model};

use super::is_trained;
use super::optimizer::Trained;
use crate::ForeignTensor;

/// A layer of a file that describes no network.
pub(super) struct UndescribedLayer {
    pub tensors: Vec<ForeignTensor>,
    /// Whether the file says that it is frozen.
    pub is_frozen: bool,
}

/// The place of a layer of a file in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number among the network's layers.
    pub number: usize,
    /// Whether Keras trains the network's layer.
    pub is_trained: bool,
}

/// A kind of layer that has variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Conv,
    BatchNorm,
    Dense,
}

/// The places of the layers of a `.weights.h5` in a network: it numbers the layers of each kind, so that the second
/// convolution is the network's second one. Its last dense layers may be missing. None for a file of other layers.
pub(super) fn order(layers: &[UndescribedLayer], model: &Model) -> Option<Vec<Place>> {
    let mut places: Vec<(Kind, VecDeque<Place>)> = Vec::new();
    for (number, shape) in model.shapes().ok()?.iter().enumerate() {
        let kind = match model.layers[number].kind {
            LayerKind::Conv(_) => Kind::Conv,
            LayerKind::BatchNorm(_) => Kind::BatchNorm,
            LayerKind::Linear(_) => Kind::Dense,
            _ => continue,
        };
        let place = Place { number, is_trained: is_trained(&shape.parameters) };
        match places.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, of_kind)) => of_kind.push_back(place),
            None => places.push((kind, VecDeque::from([place]))),
        }
    }
    let mut order = Vec::with_capacity(layers.len());
    for layer in layers {
        let kind = kind_of(&layer.tensors)?;
        let (_, of_kind) = places.iter_mut().find(|(known, _)| *known == kind)?;
        order.push(of_kind.pop_front()?);
    }
    places.iter().all(|(kind, left)| left.is_empty() || *kind == Kind::Dense).then_some(order)
}

/// The tensors of some layers that an optimizer trains.
pub(super) fn trained<'a>(layers: impl Iterator<Item = &'a UndescribedLayer>) -> Vec<Trained> {
    let tensors = layers.flat_map(|layer| &layer.tensors);
    let tensors = tensors.filter(|tensor| tensor.name.ends_with(".weight") || tensor.name.ends_with(".bias"));
    tensors.map(|tensor| (tensor.name.clone(), tensor.values.shape().to_vec())).collect()
}

fn kind_of(tensors: &[ForeignTensor]) -> Option<Kind> {
    match (tensors.first()?.values.ndim(), tensors.len()) {
        (4, 1 | 2) => Some(Kind::Conv),
        (2, 1 | 2) => Some(Kind::Dense),
        (1, 4) => Some(Kind::BatchNorm),
        _ => None,
    }
}
