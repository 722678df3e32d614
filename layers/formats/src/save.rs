use std::path::Path;

use layers::weights::Weights;

use crate::onnx::{self, GraphOutput};
use crate::{Error, Format, OptimizerState, Result, keras, torch};

/// Writes weights in a format; without one, in that which the ending of the file's name says.
///
/// # Errors
/// [`Error::Refused`] for a name of another ending, a format that is only read, or weights that the format cannot hold;
/// [`Error::Layers`] or [`Error::File`] if the file cannot be written. An old file is then kept.
pub fn save(path: &Path, weights: &Weights, format: Option<Format>) -> Result<()> {
    save_with(path, weights, None, format).map(drop)
}

/// Writes weights as [`save`] does, with the state of an optimizer where the format has a place for it: Keras'. Returns
/// notes on what the format does not hold.
///
/// # Errors
/// Those of [`save`].
pub fn save_with(
    path: &Path,
    weights: &Weights,
    optimizer: Option<&OptimizerState>,
    format: Option<Format>,
) -> Result<Vec<String>> {
    let format = format.map_or_else(|| Format::of_name(path), Ok)?;
    match format {
        Format::KerasArchive | Format::KerasHdf5 => keras::save(path, weights, optimizer, format),
        other => save_weights(path, weights, other).map(|()| Vec::new()),
    }
}

fn save_weights(path: &Path, weights: &Weights, format: Format) -> Result<()> {
    match format {
        Format::Own => Ok(weights.save_as_hdf5(path)?),
        Format::Safetensors => Ok(weights.save_as_safetensors(path)?),
        Format::Torch => torch::write(path, weights),
        Format::Onnx => onnx::save(path, weights, GraphOutput::Logits),
        Format::Shards | Format::Caffe | Format::KerasArchive | Format::KerasHdf5 => {
            let what = format!("{format} is read and not written; write .h5, .safetensors, .pt, .onnx or .keras");
            Err(Error::refused(path, what))
        }
    }
}
