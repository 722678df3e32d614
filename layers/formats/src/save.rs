use std::path::Path;

use layers::weights::Weights;

use crate::onnx::{self, GraphOutput};
use crate::{Error, Format, Result, torch};

/// Writes weights in a format; without one, in that which the ending of the file's name says.
///
/// # Errors
/// [`Error::Refused`] for a name of another ending, a format that is only read, or weights that the format cannot hold;
/// [`Error::Layers`] or [`Error::File`] if the file cannot be written. An old file is then kept.
pub fn save(path: &Path, weights: &Weights, format: Option<Format>) -> Result<()> {
    let format = format.map_or_else(|| Format::of_name(path), Ok)?;
    match format {
        Format::Own => Ok(weights.save_as_hdf5(path)?),
        Format::Safetensors => Ok(weights.save_as_safetensors(path)?),
        Format::Torch => torch::write(path, weights),
        Format::Onnx => onnx::save(path, weights, GraphOutput::Logits),
        Format::Shards | Format::Caffe | Format::KerasArchive | Format::KerasHdf5 => {
            let what = format!("{format} is read and not written; write .h5, .safetensors, .pt or .onnx");
            Err(Error::refused(path, what))
        }
    }
}
