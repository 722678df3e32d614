//! PyTorch: state dicts in `.pt`, `.pth`, `.bin` and `.ckpt` files.
//!
//! Two forms are read: the zip that `torch.save` writes since PyTorch 1.6, and the older one. Both hold a pickle, a program
//! for a small machine; the one here runs nothing of it but the building of tensors and dictionaries (see `pickle`).
//! The parameters may be in another dictionary, as trainers save them. Numbers may be f32, f64, f16 or bf16, tensors may
//! share storages and have any strides. A whole pickled module is refused, with the lines of Python that save its
//! parameters.
//!
//! [`write()`](fn@write) saves the zip. `torch.load(FILE, weights_only=True)` gives an `OrderedDict` of f32 tensors under the names that
//! the network exports, which `load_state_dict` takes with `strict=True`. Records that PyTorch does not look at carry
//! the network, the classes and the means, so that this crate reads back all that it wrote.

mod archive;
mod extras;
mod legacy;
mod pickle;
mod pickle_writer;
mod state_dict;
mod storages;
mod tensors;
mod write;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use files::regular_file;
use layers::weights::AxisOrder;

use crate::error::Fault;
use crate::{Error, ForeignFile, ForeignTensor, Format, Result, budget};

use archive::Archive;
use legacy::Legacy;
use pickle::Pickle;
use storages::Storages;

pub(crate) use archive::is_archive;
pub use write::write;

/// The first bytes of a zip file.
const ZIP: &[u8] = b"PK\x03\x04";

/// Reads a file.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged or holds something that is not read.
pub fn read(path: &Path) -> Result<ForeignFile> {
    let mut file = regular_file::open(path).map_err(Error::file(path))?;
    let length = file.metadata().map_err(Error::file(path))?.len();
    let start = start(&mut file).map_err(Error::file(path))?;
    if start != ZIP {
        return legacy(file, length).map_err(|fault| fault.of(path));
    }
    let read = Archive::open(file, length).and_then(|mut archive| {
        let pickle = archive.pickle()?;
        let file = contents(&pickle, &mut archive, length)?;
        Ok((archive, file))
    });
    let (mut archive, mut file) = read.map_err(|fault| fault.of(path))?;
    extras::read(path, &mut archive, &mut file)?;
    Ok(file)
}

/// The first bytes of a file, from which it is then read again.
fn start(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.by_ref().take(ZIP.len() as u64).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(start)
}

fn legacy(file: File, length: u64) -> std::result::Result<ForeignFile, Fault> {
    let (mut legacy, pickle) = Legacy::open(file, length)?;
    contents(&pickle, &mut legacy, length)
}

/// The parameters of a pickle in a file of `length` bytes.
fn contents(pickle: &Pickle, storages: &mut impl Storages, length: u64) -> std::result::Result<ForeignFile, Fault> {
    let found = state_dict::find(pickle)?;
    let tensors: Vec<ForeignTensor> = tensors::load(&found.tensors, storages, budget::of(length))?;
    Ok(ForeignFile { tensors, notes: found.notes, ..ForeignFile::new(Format::Torch, AxisOrder::PyTorch) })
}
