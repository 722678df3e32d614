//! Which tensor of a file is which parameter of a network.
//!
//! By names first: those that the network exports, then this workspace's own (`conv1.weight`), all with the same prefix
//! (`module.`, `model.`) or none. If not all are there, by order and shape: weights and biases in the network's order, or
//! in any order if no two layers have the same shapes. The number of classes is the file's.

mod names;
mod order;
mod presets;

use std::path::Path;

use layers::weights::{AxisOrder, Weights};
use layers::{LayerKind, Layout, Model, ParameterSpec};
use ndarray::ArrayD;

use crate::{Error, ForeignFile, ForeignTensor, Loaded, Matched, OptimizerState, Report, Result};

pub use presets::{Fit, presets_that_fit};

/// A file's tensors as the parameters of a network.
struct Assignment {
    /// The network, with the file's number of classes.
    model: Model,
    /// Its parameters.
    specs: Vec<ParameterSpec>,
    /// The tensor of each parameter, by its place in the file.
    places: Vec<usize>,
    way: Way,
}

/// How tensors were found.
enum Way {
    /// By names with this prefix.
    Names(String),
    /// By order and shape.
    Shapes,
}

impl Way {
    /// A note on names that are not those of the network.
    fn note(&self, network: &str) -> Option<String> {
        match self {
            Self::Names(prefix) if prefix.is_empty() => None,
            Self::Names(prefix) => Some(format!("the prefix {prefix:?} of its names is left out")),
            Self::Shapes => {
                Some(format!("its names are not those of {network}; its tensors are matched by order and shape"))
            }
        }
    }
}

/// Why a file's tensors are not the parameters of a network.
#[derive(Default)]
struct Misfit {
    missing: Vec<String>,
    extra: Vec<String>,
    mismatched: Vec<(String, Vec<usize>, Vec<usize>)>,
}

/// The weights of `model`, else of the network that the file describes, else of the only preset that it fits.
///
/// # Errors
/// [`Error::UnknownNetwork`] if it is not known which network the file is for; [`Error::Layers`] with the parameters
/// that are missing or of another shape.
pub fn into_weights(path: &Path, file: ForeignFile, model: Option<&Model>) -> Result<Loaded> {
    let mut notes = Vec::new();
    let assignment = match model.or(file.model.as_ref()) {
        Some(model) => assign(&file, model)?.map_err(|misfit| misfit.error(path))?,
        None => presets::only_fit(path, &file, &mut notes)?,
    };
    notes.extend(assignment.way.note(&assignment.model.name));
    loaded(path, file, model, assignment, notes)
}

/// The weights of `model` but for its last linear layers, if the file has all others: one that was saved without its top
/// (Keras' `include_top=False`). None for other files.
///
/// # Errors
/// Those of the network; [`Error::Refused`] for a damaged file.
pub fn into_weights_without_top(path: &Path, file: ForeignFile, model: &Model) -> Result<Option<Loaded>> {
    let mut specs = model.parameters()?;
    while let Some(last) = specs.last().map(|spec| layer_of(&spec.name).to_string()) {
        if !matches!(model.layers[model.find_layer(&last)?].kind, LayerKind::Linear(_)) {
            return Ok(None);
        }
        specs.retain(|spec| layer_of(&spec.name) != last);
        if let Some((places, way)) = places_of(&file, &specs).filter(|_| !specs.is_empty()) {
            let notes = way.note(&model.name).into_iter().collect();
            let assignment = Assignment { model: model.clone(), specs, places, way };
            return loaded(path, file, Some(model), assignment, notes).map(Some);
        }
    }
    Ok(None)
}

/// The tensors of some parameters, by their names, or by order and shape if there is no other tensor.
fn places_of(file: &ForeignFile, specs: &[ParameterSpec]) -> Option<(Vec<usize>, Way)> {
    let named = names::find(file, specs);
    if let Some(places) = named.complete().filter(|places| mismatched(file, specs, places).is_empty()) {
        return Some((places, Way::Names(named.prefix)));
    }
    order::fits(file, specs).then(|| ((0..specs.len()).collect(), Way::Shapes))
}

/// The name of a parameter's layer.
fn layer_of(parameter: &str) -> &str {
    parameter.rsplit_once('.').map_or(parameter, |(layer, _)| layer)
}

/// Finds the tensor of each parameter. The outer error is of the network itself.
fn assign(file: &ForeignFile, model: &Model) -> Result<std::result::Result<Assignment, Misfit>> {
    let specs = model.parameters()?;
    let named = names::find(file, &specs);
    if let Some(places) = named.complete() {
        let last = places.last().map(|&place| &file.tensors[place]);
        let model = with_classes_of(file.axes, model, &specs, last);
        let specs = model.parameters()?;
        let mismatched = mismatched(file, &specs, &places);
        if mismatched.is_empty() {
            return Ok(Ok(Assignment { model, specs, places, way: Way::Names(named.prefix) }));
        }
        return Ok(Err(Misfit { mismatched, ..Misfit::default() }));
    }
    match order::find(file, model)? {
        Some(assignment) => Ok(Ok(assignment)),
        None => Ok(Err(named.misfit(file, &specs))),
    }
}

/// The network with as many classes as the tensor of its last parameter has outputs, if it can have so many.
fn with_classes_of(axes: AxisOrder, model: &Model, specs: &[ParameterSpec], last: Option<&ForeignTensor>) -> Model {
    let mut changed = model.clone();
    let outputs = last.zip(specs.last()).and_then(|(tensor, spec)| outputs(axes, spec.layout, tensor.values.shape()));
    if let Some(outputs) = outputs.filter(|&outputs| outputs != model.classes) {
        // A network whose outputs do not follow its classes stays as it is, and the shapes are reported.
        let _ = changed.set_classes(outputs);
    }
    changed
}

/// The number of outputs of a layer, by the shape of its bias or weight.
fn outputs(axes: AxisOrder, layout: Layout, shape: &[usize]) -> Option<usize> {
    match (axes, layout) {
        (AxisOrder::Keras, Layout::Linear | Layout::LinearAfterFlatten { .. } | Layout::Conv) => shape.last().copied(),
        _ => shape.first().copied(),
    }
}

/// The tensors of other shapes than their parameters: name, expected and found shape, all in the file's axes.
fn mismatched(file: &ForeignFile, specs: &[ParameterSpec], places: &[usize]) -> Vec<(String, Vec<usize>, Vec<usize>)> {
    let pairs = specs.iter().zip(places).map(|(spec, &place)| (spec, &file.tensors[place]));
    let wrong = pairs.filter_map(|(spec, tensor)| {
        let expected = file.axes.shape(spec);
        let found = tensor.values.shape();
        let name = || {
            let known = &spec.name;
            if tensor.name == *known { known.clone() } else { format!("{} ({known})", tensor.name) }
        };
        (expected != found).then(|| (name(), expected, found.to_vec()))
    });
    wrong.collect()
}

impl Misfit {
    fn error(self, path: &Path) -> Error {
        let Self { missing, extra, mismatched } = self;
        let origin = path.display().to_string();
        Error::Layers(layers::Error::Parameters { origin, missing, extra, mismatched })
    }
}

/// The weights of an assignment.
fn loaded(
    path: &Path,
    file: ForeignFile,
    asked: Option<&Model>,
    assignment: Assignment,
    notes: Vec<String>,
) -> Result<Loaded> {
    let Assignment { model, specs, places, .. } = assignment;
    file.check_description(Some(&model)).map_err(|what| Error::refused(path, what))?;
    let mut report =
        Report { format: file.format, is_own: false, matched: Vec::new(), left_over: Vec::new(), notes: file.notes };
    report.notes.extend(notes);
    let names: Vec<String> = places.iter().map(|&place| file.tensors[place].name.clone()).collect();
    let optimizer = file.optimizer.map(|state| own_slots(path, file.axes, &specs, &names, state)).transpose()?;
    let mut left: Vec<Option<ForeignTensor>> = file.tensors.into_iter().map(Some).collect();
    let mut tensors = Vec::with_capacity(specs.len());
    for (spec, place) in specs.iter().zip(places) {
        let tensor = left[place].take();
        let tensor = tensor.ok_or_else(|| Error::refused(path, format!("one tensor would be two, {}", spec.name)))?;
        tensors.push(parameter(path, file.axes, spec, tensor, &mut report)?);
    }
    report.left_over = left.into_iter().flatten().map(|t| (t.name, t.values.shape().to_vec())).collect();
    let weights = Weights {
        model: Some(model),
        tensors,
        classes: file.classes,
        mean_image: file.mean_image,
        mean_rgb: file.mean_rgb,
        exif_orientation: file.exif_orientation,
    };
    let described = file.model.filter(|_| asked.is_some());
    Ok(Loaded { weights, report, described, optimizer })
}

/// A tensor as a parameter, in this workspace's axes.
fn parameter(
    path: &Path,
    axes: AxisOrder,
    spec: &ParameterSpec,
    tensor: ForeignTensor,
    report: &mut Report,
) -> Result<(String, ArrayD<f32>)> {
    let from = tensor.values.shape().to_vec();
    let values = axes.into_own(spec, tensor.values).map_err(|e| Error::refused(path, e.to_string()))?;
    let permuted = is_permuted(axes, spec);
    let to = spec.shape.clone();
    report.matched.push(Matched { tensor: tensor.name, parameter: spec.name.clone(), from, to, permuted });
    Ok((spec.name.clone(), values))
}

/// Whether a parameter's values are in another order in a framework.
fn is_permuted(axes: AxisOrder, spec: &ParameterSpec) -> bool {
    match spec.layout {
        Layout::Vector => false,
        Layout::Linear => axes == AxisOrder::Keras,
        Layout::LinearAfterFlatten { height, width, .. } => axes == AxisOrder::Keras || height * width > 1,
        _ => true,
    }
}

/// The slots of an optimizer under the parameters' names, in this workspace's axes.
fn own_slots(
    path: &Path,
    axes: AxisOrder,
    specs: &[ParameterSpec],
    names: &[String],
    mut state: OptimizerState,
) -> Result<OptimizerState> {
    for tensor in state.slots.iter_mut().flat_map(|(_, tensors)| tensors) {
        let at = names.iter().position(|name| *name == tensor.name);
        let what = || format!("the optimizer has a slot for {}, which is no parameter", tensor.name);
        let spec = &specs[at.ok_or_else(|| Error::refused(path, what()))?];
        let found = tensor.values.shape().to_vec();
        if found != axes.shape(spec) {
            let what = format!("the optimizer's slot for {} is {found:?} and not {:?}", tensor.name, axes.shape(spec));
            return Err(Error::refused(path, what));
        }
        let values = std::mem::take(&mut tensor.values);
        tensor.values = axes.into_own(spec, values).map_err(|e| Error::refused(path, e.to_string()))?;
        tensor.name = spec.name.clone();
    }
    Ok(state)
}
