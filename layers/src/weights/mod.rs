//! Weights in files: ours as HDF5 and safetensors, other programs' safetensors.
//!
//! [`Weights`] holds a network's parameters on the host, under our names and in our layouts, with what a prediction
//! needs beside them: the network's text, the classes' names, the training set's means. [`Weights::load`] tells a file's
//! type by its content, [`Weights::save`] chooses by the name's extension. Loading copies: a file may be saved over while
//! its weights are in use. Saving replaces the file so that a crash leaves the old one or the new one
//! ([`files::replace`]).
//!
//! Files are checked before anything of their size is allocated, and every tensor against its checksum.
//!
//! What the files look like is said in [`hdf5_file`] and [`safetensors_file`].

mod foreign;
pub mod hdf5_file;
mod layout;
pub mod safetensors_file;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use files::regular_file;
use ndarray::{Array3, ArrayD};

use crate::model::Model;
use crate::{Error, Result};

/// A network's parameters and what belongs to them, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The network. `None` only for a file of ours that was saved without.
    pub model: Option<Model>,
    /// Parameters, running statistics included, by name; in the network's order, layouts and shapes.
    pub tensors: Vec<(String, ArrayD<f32>)>,
    /// Names of the classes in order; none where unknown.
    pub classes: Vec<String>,
    /// The training set's mean image, `[height, width, 3]`, red, green, blue, 0 to 255.
    pub mean_image: Option<Array3<f32>>,
    /// The training set's mean colour: red, green, blue, 0 to 255.
    pub mean_rgb: Option<[f32; 3]>,
    /// Whether the training set's images were turned as their EXIF orientation says; those of a prediction are then too.
    pub exif_orientation: bool,
}

/// Kinds of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hdf5,
    Safetensors,
}

impl Weights {
    /// Loads a file of ours, or torchvision's AlexNet from safetensors (as `one-weird-trick`, with as many classes as it
    /// has).
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; [`Error::Weights`] if it is of another kind, cut short, damaged, too new, or
    /// does not say what network it is for; [`Error::Parameters`] if its tensors are not the network's.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_either(path, None)
    }

    /// Loads a file for `model`, whatever network it says it is for. A safetensors file of another program's needs
    /// this unless it is torchvision's: its names may be ours (`conv1.weight`) or those that the model exports.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_for(path: &Path, model: &Model) -> Result<Self> {
        Self::load_either(path, Some(model))
    }

    /// Loads a file for the network that it says it is for, else for `model`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_else_for(path: &Path, model: &Model) -> Result<Self> {
        let mut weights = Self::read(path, Some(model))?;
        if weights.model.is_none() {
            weights.model = Some(model.clone());
            weights.fit(&path.display().to_string())?;
        }
        Ok(weights)
    }

    /// What a file holds, for the network that it says; safetensors that say none for `model`, else for one that is recognised.
    fn read(path: &Path, model: Option<&Model>) -> Result<Self> {
        match kind_of(path)? {
            Kind::Hdf5 => Ok(hdf5_file::load_with(path)?.0),
            Kind::Safetensors => safetensors_file::load(path, model),
        }
    }

    fn load_either(path: &Path, model: Option<&Model>) -> Result<Self> {
        let mut weights = Self::read(path, model)?;
        if let Some(model) = model {
            weights.model = Some(model.clone());
            weights.fit(&path.display().to_string())?;
        }
        Ok(weights)
    }

    /// Saves as HDF5 (`.h5`, `.hdf5`) or safetensors (`.safetensors`), by the name's extension.
    ///
    /// # Errors
    /// [`Error::Weights`] for another extension, or safetensors of weights without a network (whose layouts would be
    /// unknown); [`Error::Parameters`] if the tensors are not the network's; [`Error::Tensor`] if the file cannot be
    /// written, which leaves an old one as it was.
    pub fn save(&self, path: &Path) -> Result<()> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "h5" | "hdf5" => hdf5_file::save_with(path, self, None),
            "safetensors" => safetensors_file::save(path, self),
            _ => Err(refused(path, "weights are saved as .h5 (or .hdf5) or .safetensors; give the file such a name")),
        }
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.tensors.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }

    /// Checks that the tensors are those of the network, in name and shape, and brings them into its order. Without a
    /// network there is nothing to check. `origin` says in messages where the tensors came from.
    ///
    /// # Errors
    /// [`Error::Parameters`] that lists what is missing, extra or of another shape.
    pub fn fit(&mut self, origin: &str) -> Result<()> {
        let Some(model) = &self.model else { return Ok(()) };
        self.check(model, origin)?;
        let mut by_name: BTreeMap<_, _> = std::mem::take(&mut self.tensors).into_iter().collect();
        for spec in model.parameters()? {
            self.tensors.extend(by_name.remove_entry(&spec.name));
        }
        Ok(())
    }

    fn check(&self, model: &Model, origin: &str) -> Result<()> {
        let came = self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape()));
        let specs = model.parameters()?;
        let wanted: Vec<_> = specs.iter().map(|spec| (spec.name.as_str(), spec.shape.clone())).collect();
        crate::model::compare(origin, &wanted, came)
    }
}

fn kind_of(path: &Path) -> Result<Kind> {
    let mut start = Vec::with_capacity(16);
    let file = regular_file::open(path).map_err(unreadable(path))?;
    file.take(16).read_to_end(&mut start).map_err(unreadable(path))?;
    let what = match start.as_slice() {
        [] => "an empty file",
        bytes if bytes.starts_with(&hdf5_file::SIGNATURE) => return Ok(Kind::Hdf5),
        bytes if bytes.get(8) == Some(&b'{') => return Ok(Kind::Safetensors),
        bytes if bytes.len() < 9 => "too short for a weights file",
        bytes if bytes.starts_with(b"PK\x03\x04") => {
            "a zip file, as PyTorch and Keras save; save it there as safetensors or HDF5 first"
        }
        bytes if bytes.starts_with(b"\x80\x02") || bytes.starts_with(b"\x80\x04") => {
            "a Python pickle, which can run any code and so is not read; save it there as safetensors"
        }
        _ => "neither HDF5 nor safetensors by its content; weights are one of the two",
    };
    Err(refused(path, what))
}

fn refused(path: &Path, what: impl Into<String>) -> Error {
    Error::Weights { path: path.into(), what: what.into() }
}

/// What was tried when the system refused to read.
const READING: &str = "reading the weights failed";

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |source| Error::File { path: path.into(), what: READING, source }
}

/// "written by version N, this reads up to M".
fn check_version(path: &Path, version: u32, newest: u32) -> Result<()> {
    match version {
        0 => Err(refused(path, "its format version is 0; there is none before 1, so it is damaged")),
        v if v > newest => Err(refused(
            path,
            format!("written by version {v} of the format, this reads up to {newest}; update alexnet"),
        )),
        _ => Ok(()),
    }
}

/// The number of bytes that a shape takes, if it can be had at all.
fn byte_count(shape: &[u64], size: u64) -> Option<u64> {
    shape.iter().try_fold(size, |bytes, &axis| bytes.checked_mul(axis)).filter(|&bytes| bytes <= isize::MAX as u64)
}

/// CRC-32C of the values' little-endian bytes.
fn crc_of(values: &[f32]) -> u32 {
    let mut crc = 0;
    let mut bytes = Vec::with_capacity(4 * BLOCK);
    for block in values.chunks(BLOCK) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|v| v.to_le_bytes()));
        crc = crc32c::crc32c_append(crc, &bytes);
    }
    crc
}

/// Values converted at a time.
const BLOCK: usize = 4096;
