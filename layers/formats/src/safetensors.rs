//! safetensors of other programs.

use std::collections::BTreeSet;
use std::path::Path;

use layers::weights::{AxisOrder, load_metadata, load_tensors, tensor_types};

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
    let notes = converted(path)?.into_iter().collect();
    Ok(ForeignFile { tensors, notes, ..ForeignFile::new(Format::Safetensors, AxisOrder::PyTorch) })
}

/// A note on types of numbers that are not f32.
fn converted(path: &Path) -> Result<Option<String>> {
    let types: BTreeSet<String> = tensor_types(path)?.into_values().collect();
    let floats = types.iter().filter(|kind| ["F16", "BF16", "F64"].contains(&kind.as_str()));
    let names: Vec<String> = floats.map(|kind| kind.to_ascii_lowercase()).collect();
    Ok((!names.is_empty()).then(|| format!("its numbers are {} and become f32", names.join(" and "))))
}
