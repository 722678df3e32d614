//! Blobs: parameters and mean images.

use layers::weights::narrow_all;
use ndarray::{ArrayD, IxDyn};

use super::proto::BlobProto;

/// The shape and values of a blob; f64 is rounded to the nearest f32.
///
/// # Errors
/// A message without the name of the file.
pub(super) fn into_array(blob: BlobProto) -> Result<ArrayD<f32>, String> {
    let shape = shape(&blob)?;
    let values = if blob.double_data.is_empty() {
        blob.data
    } else {
        narrow_all(blob.double_data.iter().copied()).map_err(|error| format!("has a blob that {error}"))?
    };
    let count = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    if count != Some(values.len()) {
        return Err(format!("a blob of shape {shape:?} has {} values; the file is damaged", values.len()));
    }
    ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|error| error.to_string())
}

/// The lengths of a blob's axes: of its `shape`, else of the four axes of old files.
pub(super) fn shape(blob: &BlobProto) -> Result<Vec<usize>, String> {
    let lengths: Vec<i64> = match &blob.shape {
        Some(shape) => shape.dim.clone(),
        None => [blob.num, blob.channels, blob.height, blob.width].map(|axis| axis.unwrap_or(0)).to_vec(),
    };
    let shape: Result<Vec<usize>, _> = lengths.iter().map(|&axis| usize::try_from(axis)).collect();
    shape.map_err(|_| format!("a blob has the shape {lengths:?}; the file is damaged"))
}
