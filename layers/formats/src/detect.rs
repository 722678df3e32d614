use std::io::Read;
use std::path::Path;

use files::regular_file;

use crate::{Error, Result};

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
            _ => Ok(Self::Own),
        }
    }
}
