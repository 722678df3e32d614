//! Tensors by their order and shapes.

use std::collections::BTreeMap;

use layers::weights::AxisOrder;
use layers::{Model, ParameterSpec};

use super::{Assignment, Way, outputs, with_classes_of};
use crate::{ForeignFile, ForeignTensor, Result};

/// The most tensors of a file that are looked at without names.
const MAX_TENSORS: usize = 512;

/// The part of a tensor in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Weight,
    Bias,
    Mean,
    Variance,
}

/// The roles and shapes of a layer's tensors.
type Signature = Vec<(Role, Vec<usize>)>;

/// A layer's tensors in a file.
#[derive(Default)]
struct Layer {
    signature: Signature,
    /// The place of each tensor in the file.
    places: Vec<(Role, usize)>,
}

/// The parameters of a network among the tensors of a file, if there is one way to take them and none is left over.
pub fn find(file: &ForeignFile, model: &Model) -> Result<Option<Assignment>> {
    let count = model.parameters()?.len();
    if count == 0 || count != file.tensors.len() || count > MAX_TENSORS {
        return Ok(None);
    }
    match in_order(file, model)? {
        Some(assignment) => Ok(Some(assignment)),
        None => by_shapes(file, model),
    }
}

/// The tensors in the file's order.
fn in_order(file: &ForeignFile, model: &Model) -> Result<Option<Assignment>> {
    let model = with_classes_of(file.axes, model, &model.parameters()?, file.tensors.last());
    let specs = model.parameters()?;
    let places = (0..specs.len()).collect();
    Ok(fits(file, &specs).then_some(Assignment { model, specs, places, way: Way::Shapes }))
}

/// Whether the tensors of a file are these parameters in this order.
pub fn fits(file: &ForeignFile, specs: &[ParameterSpec]) -> bool {
    let fits = |(spec, tensor): (&ParameterSpec, &ForeignTensor)| {
        let may_be = named_role(tensor).is_none_or(|role| role == role_of_spec(spec));
        file.axes.shape(spec) == tensor.values.shape() && may_be
    };
    specs.len() == file.tensors.len() && specs.iter().zip(&file.tensors).all(fits)
}

/// The layers by their shapes, each of which must be there once.
fn by_shapes(file: &ForeignFile, model: &Model) -> Result<Option<Assignment>> {
    let layers = layers_of_file(file);
    let Some(last) = model.parameters()?.pop() else { return Ok(None) };
    let candidates = file.tensors.iter().filter_map(|t| outputs(file.axes, last.layout, t.values.shape()));
    let mut candidates: Vec<usize> = candidates.collect();
    candidates.sort_unstable();
    candidates.dedup();
    let mut found = None;
    for classes in candidates {
        let mut model = model.clone();
        if model.classes != classes && model.set_classes(classes).is_err() {
            continue;
        }
        let specs = model.parameters()?;
        if let Some(places) = places_by_shape(file.axes, &specs, &layers) {
            if found.is_some() {
                return Ok(None);
            }
            found = Some(Assignment { model, specs, places, way: Way::Shapes });
        }
    }
    Ok(found)
}

/// The place of each parameter, if the layers of both sides have the same signatures and no two of them are the same.
fn places_by_shape(axes: AxisOrder, specs: &[ParameterSpec], layers: &[Layer]) -> Option<Vec<usize>> {
    let mut by_signature = BTreeMap::new();
    for Layer { signature, places } in layers {
        if by_signature.insert(signature, places).is_some() {
            return None;
        }
    }
    let mut places = Vec::with_capacity(specs.len());
    for layer in specs.chunk_by(|a, b| layer_of(&a.name) == layer_of(&b.name)) {
        let mut signature: Signature = layer.iter().map(|spec| (role_of_spec(spec), axes.shape(spec))).collect();
        signature.sort();
        let theirs = by_signature.remove(&signature)?;
        for spec in layer {
            let role = role_of_spec(spec);
            places.push(theirs.iter().find(|(other, _)| *other == role)?.1);
        }
    }
    by_signature.is_empty().then_some(places)
}

/// The tensors of a file by layers: those whose names begin alike.
fn layers_of_file(file: &ForeignFile) -> Vec<Layer> {
    let mut layers: BTreeMap<&str, Layer> = BTreeMap::new();
    for (place, tensor) in file.tensors.iter().enumerate() {
        let layer = layers.entry(layer_of(&tensor.name)).or_default();
        let role = role_of_tensor(tensor);
        layer.signature.push((role, tensor.values.shape().to_vec()));
        layer.places.push((role, place));
    }
    let mut layers: Vec<Layer> = layers.into_values().collect();
    layers.iter_mut().for_each(|layer| layer.signature.sort());
    layers
}

/// The name up to the last separator.
fn layer_of(name: &str) -> &str {
    name.rsplit_once(['.', '/']).or_else(|| name.rsplit_once('_')).map_or("", |(layer, _)| layer)
}

fn role_of_spec(spec: &ParameterSpec) -> Role {
    match spec.name.rsplit('.').next() {
        Some("bias") => Role::Bias,
        Some("running_mean") => Role::Mean,
        Some("running_var") => Role::Variance,
        _ => Role::Weight,
    }
}

/// The role of a tensor by the end of its name.
fn named_role(tensor: &ForeignTensor) -> Option<Role> {
    let end = tensor.name.rsplit(['.', '/']).next().unwrap_or_default();
    Some(match end.split(':').next().unwrap_or_default() {
        "bias" | "b" | "beta" => Role::Bias,
        "running_mean" | "moving_mean" | "mean" => Role::Mean,
        "running_var" | "moving_variance" | "var" => Role::Variance,
        "weight" | "kernel" | "w" | "gamma" => Role::Weight,
        _ => return None,
    })
}

/// The role of a tensor by its name, else by the number of its axes.
fn role_of_tensor(tensor: &ForeignTensor) -> Role {
    let by_axes = || if tensor.values.ndim() == 1 { Role::Bias } else { Role::Weight };
    named_role(tensor).unwrap_or_else(by_axes)
}
