//! Caffe: `.caffemodel` files, and means as `.binaryproto`.
//!
//! The layers of a file say what network it is for, in the messages of today (`layer`) and in those of 2014 (`layers`).
//! Images are blue first. A file of a network for training says how it crops, scales and subtracts; the mean image is
//! always a file of its own, which [`mean()`](crate::mean()) reads.

mod blob;
mod layer;
mod net;
mod proto;
mod upgrade;

use std::path::Path;

use layers::weights::AxisOrder;
use ndarray::ArrayD;
use prost::Message;

use crate::{Error, ForeignFile, Format, Result, wire};

/// Reads a file.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged, or with the layer that is not read.
pub fn read(path: &Path) -> Result<ForeignFile> {
    let bytes = wire::read(path)?;
    let refused = |what: String| Error::refused(path, what);
    wire::check(&bytes, &proto::NET).map_err(refused)?;
    let decoded = proto::NetParameter::decode(bytes.as_slice());
    drop(bytes);
    let net = decoded.map_err(|error| refused(format!("is no network of Caffe, or a damaged one: {error}")))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let (model, tensors, notes) = net::read(net, &stem).map_err(refused)?;
    let empty = ForeignFile::new(Format::Caffe, AxisOrder::PyTorch);
    Ok(ForeignFile { tensors, model: Some(model), notes, ..empty })
}

/// The array of a `.binaryproto` file.
///
/// # Errors
/// A message without the name of the file.
pub(crate) fn blob(bytes: &[u8]) -> std::result::Result<ArrayD<f32>, String> {
    let other = |_| "is not a blob of Caffe".to_string();
    wire::check(bytes, &proto::BLOB).map_err(other)?;
    let blob = proto::BlobProto::decode(bytes).map_err(|error| error.to_string());
    blob::into_array(blob.map_err(other)?)
}
