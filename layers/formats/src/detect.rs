use std::io::Read;
use std::path::Path;

use files::regular_file;

use crate::{Error, Result, wire};

/// The formats of weights files, by their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// This workspace's HDF5.
    Own,
    /// safetensors, of any program.
    Safetensors,
    /// PyTorch: a zip of a pickle and its storages, or the form before 1.6.
    Torch,
    /// Keras' `.keras`: a zip of a configuration and HDF5 weights.
    KerasArchive,
    /// Keras' `.weights.h5`, or its `.h5` of models.
    KerasHdf5,
    /// A network of Caffe with its parameters.
    Caffe,
    /// An ONNX graph.
    Onnx,
}

impl Format {
    /// The format of a file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is of no known format.
    pub fn of(path: &Path) -> Result<Self> {
        let mut start = Vec::with_capacity(64);
        let file = regular_file::open(path).map_err(Error::file(path))?;
        file.take(64).read_to_end(&mut start).map_err(Error::file(path))?;
        match start.as_slice() {
            bytes if bytes.starts_with(b"PK\x03\x04") => Ok(Self::Torch),
            bytes if bytes.starts_with(b"\x80\x02") => Ok(Self::Torch),
            // The network's own reader names what is wrong with anything else.
            bytes => Ok(protobuf(path, bytes)?.unwrap_or(Self::Own)),
        }
    }
}

/// Whether a protocol buffer is an ONNX graph or a network of Caffe, by the numbers of its fields.
fn protobuf(path: &Path, start: &[u8]) -> Result<Option<Format>> {
    // HDF5, and safetensors, whose JSON begins after eight bytes.
    if start.starts_with(b"\x89HDF") || start.get(8) == Some(&b'{') {
        return Ok(None);
    }
    let file = regular_file::open(path).map_err(Error::file(path))?;
    let Some(fields) = wire::first_fields(file) else { return Ok(None) };
    let has = |field: (u32, bool)| fields.contains(&field);
    // ONNX: 1 is the version of the format, 7 the graph. Caffe: 1 is a name, 2 and 100 are layers.
    let is_onnx = has((7, true)) && !has((1, true));
    let is_caffe = (has((2, true)) || has((100, true))) && !has((7, true)) && !has((1, false));
    if is_onnx { Ok(Some(Format::Onnx)) } else { Ok(is_caffe.then_some(Format::Caffe)) }
}
