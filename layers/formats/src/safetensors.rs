//! safetensors of other programs.

use std::path::Path;

use layers::weights::{AxisOrder, load_metadata, load_tensors};

use crate::{ForeignFile, ForeignTensor, Format, Result};

/// The key that every file of this workspace has in its metadata.
const OWN: &str = "alexnet.format";

/// Whether a safetensors file is of this workspace.
pub(crate) fn is_own(path: &Path) -> Result<bool> {
    Ok(load_metadata(path)?.contains_key(OWN))
}

/// Reads a file of another program. Its axes are taken to be PyTorch's.
pub(crate) fn read(path: &Path) -> Result<ForeignFile> {
    let tensors = load_tensors(path)?.into_iter().map(|(name, values)| ForeignTensor { name, values }).collect();
    Ok(ForeignFile { tensors, ..ForeignFile::new(Format::Safetensors, AxisOrder::PyTorch) })
}
