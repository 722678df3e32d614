//! Which tensor of a file is which parameter of a network.

use std::path::Path;

use layers::weights::{AxisOrder, Weights};
use layers::{Model, ParameterSpec};

use crate::{Error, ForeignFile, ForeignTensor, Loaded, Matched, Report, Result};

/// The weights of the network that the file describes, else of `model`.
///
/// # Errors
/// [`Error::Refused`] if it is not known which network the file is for; [`Error::Layers`] with the parameters that are
/// missing, extra or of another shape.
pub fn into_weights(path: &Path, file: ForeignFile, model: Option<&Model>) -> Result<Loaded> {
    let model = file.model.clone().or_else(|| model.cloned());
    let model = model.ok_or_else(|| Error::refused(path, "does not say what network it is for; name it"))?;
    let specs = model.parameters()?;
    let mut report =
        Report { format: file.format, matched: Vec::new(), left_over: Vec::new(), notes: file.notes.clone() };
    let mut tensors = Vec::with_capacity(specs.len());
    for tensor in file.tensors {
        match specs.iter().find(|spec| spec.export == tensor.name || spec.name == tensor.name) {
            Some(spec) => tensors.push(parameter(path, file.axes, spec, tensor, &mut report)?),
            None => report.left_over.push((tensor.name, tensor.values.shape().to_vec())),
        }
    }
    let mut weights = Weights {
        model: Some(model),
        tensors,
        classes: file.classes,
        mean_image: file.mean_image,
        mean_rgb: file.mean_rgb,
        exif_orientation: false,
    };
    weights.fit(&path.display().to_string())?;
    Ok(Loaded { weights, report, optimizer: file.optimizer })
}

/// A tensor as a parameter, in this workspace's axes.
fn parameter(
    path: &Path,
    axes: AxisOrder,
    spec: &ParameterSpec,
    tensor: ForeignTensor,
    report: &mut Report,
) -> Result<(String, ndarray::ArrayD<f32>)> {
    let from = tensor.values.shape().to_vec();
    if from != axes.shape(spec) {
        let what = format!("{} is {from:?} and not {:?}", tensor.name, axes.shape(spec));
        return Err(Error::refused(path, what));
    }
    let values = axes.into_own(spec, tensor.values).map_err(|e| Error::refused(path, e.to_string()))?;
    report.matched.push(Matched { tensor: tensor.name, parameter: spec.name.clone(), from, to: spec.shape.clone() });
    Ok((spec.name.clone(), values))
}
