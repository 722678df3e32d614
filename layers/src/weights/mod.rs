//! Weights files: HDF5 (with the feature `hdf5`) and safetensors of this crate, and safetensors of other programs.
//!
//! [`Weights`] holds a network's parameters on the host, in this crate's names and layouts, and all else that a prediction
//! needs: the network's TOML, the names of the classes, the means of the training set. [`Weights::load`] detects the format
//! by content, [`Weights::save`] chooses it by the file's extension. Loading copies, so a file may be overwritten while its
//! weights are in use. After a crash during a save there is the old file or the new one ([`files::replace`]).
//!
//! Every size is checked before memory is allocated, and every tensor against its checksum.
//!
//! The formats are described in `hdf5_file` and [`safetensors_file`].

mod description;
#[cfg(feature = "hdf5")]
pub mod hdf5_file;
mod layout;
mod module;
mod narrow;
pub mod safetensors_file;
mod torchvision;
#[cfg(not(feature = "hdf5"))]
mod without_hdf5;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use files::regular_file;
use ndarray::{Array3, ArrayD};

use crate::model::Model;
use crate::{Error, Result};

#[cfg(not(feature = "hdf5"))]
use without_hdf5 as hdf5_file;

pub use description::Description;
pub use layout::AxisOrder;
pub use module::{load_metadata, load_module, load_tensors, save_module, save_tensors, tensor_types};
pub use narrow::{BeyondF32, narrow, narrow_all};

/// A network's parameters on the host, with its classes and the means of its training set.
///
/// ```
/// use alexnet_layers::weights::Weights;
/// use alexnet_layers::{Model, Network, tensor::Cpu};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let model = Model::preset("linear")?;
/// let network = Network::new(&cpu, &model, 1)?;
/// let weights = Weights { model: Some(model.clone()), ..Weights::of(&network)? };
/// # let folder = std::env::temp_dir().join(format!("alexnet-doc-weights-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("linear.safetensors");
/// weights.save(&path)?;
/// assert_eq!(Weights::load(&path)?, weights);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// The network. `None` for the parameters of a module in code, which are saved as HDF5 only; [`save_module`] saves
    /// them in both formats.
    pub model: Option<Model>,
    /// Parameters and running statistics by name, in the network's order, layouts and shapes.
    pub tensors: Vec<(String, ArrayD<f32>)>,
    /// Names of the classes in order; empty if unknown.
    pub classes: Vec<String>,
    /// The training set's mean image, `[height, width, 3]`, red, green, blue, 0 to 255.
    pub mean_image: Option<Array3<f32>>,
    /// The training set's mean colour: red, green, blue, 0 to 255.
    pub mean_rgb: Option<[f32; 3]>,
    /// Whether the EXIF orientation was applied to the training set's images. Predictions then apply it too.
    pub exif_orientation: bool,
}

/// The most tensors of a weights file. Networks that are read have some hundreds.
pub const MAX_TENSORS: usize = 1 << 16;

/// The refusal of a file with more than [`MAX_TENSORS`].
fn too_many_tensors() -> String {
    format!("it has more than {MAX_TENSORS} tensors; the networks that are read have some hundreds")
}

/// The first bytes of every HDF5 file.
const HDF5_SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// The formats of weights files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileFormat {
    Hdf5,
    Safetensors,
}

impl Weights {
    /// Loads a file of this crate, or torchvision's AlexNet from safetensors (as `one-weird-trick` with the file's number
    /// of classes).
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; [`Error::Weights`] if it has another format, is truncated, damaged or too new,
    /// or names no network; [`Error::Parameters`] if its tensors are not the network's.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_either(path, None)
    }

    /// Loads a file for `model`, whatever network it names. A safetensors file of another program needs this unless it is
    /// torchvision's. Its names may be this crate's (`conv1.weight`) or those that the model exports.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn load_for(path: &Path, model: &Model) -> Result<Self> {
        Self::load_either(path, Some(model))
    }

    /// Loads a file for the network that it names, else for `model`.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn load_else_for(path: &Path, model: &Model) -> Result<Self> {
        let mut weights = Self::read(path, Some(model))?;
        if weights.model.is_none() {
            weights.model = Some(model.clone());
            weights.fit(&path.display().to_string())?;
        }
        Ok(weights)
    }

    /// Reads a file for the network that it names. Safetensors that name none are read for `model`, else for torchvision's
    /// AlexNet.
    fn read(path: &Path, model: Option<&Model>) -> Result<Self> {
        match file_format(path)? {
            FileFormat::Hdf5 => Ok(hdf5_file::load_with(path)?.0),
            FileFormat::Safetensors => safetensors_file::load(path, model),
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

    /// Saves as HDF5 (`.h5`, `.hdf5`) or safetensors (`.safetensors`), by the file's extension.
    ///
    /// # Errors
    /// [`Error::Weights`] for another extension, and for safetensors of weights without a network, whose layouts are
    /// unknown; [`Error::Parameters`] if the tensors are not the network's; [`Error::Tensor`] if the file cannot be written.
    /// An old file is then kept.
    pub fn save(&self, path: &Path) -> Result<()> {
        match file_format_of_name(path)? {
            FileFormat::Hdf5 => self.save_as_hdf5(path),
            FileFormat::Safetensors => self.save_as_safetensors(path),
        }
    }

    /// Saves as HDF5, whatever the file's extension.
    ///
    /// # Errors
    /// Those of [`save`](Self::save), but for the extension.
    pub fn save_as_hdf5(&self, path: &Path) -> Result<()> {
        hdf5_file::save_with(path, self, None)
    }

    /// Saves as safetensors, whatever the file's extension.
    ///
    /// # Errors
    /// Those of [`save`](Self::save), but for the extension.
    pub fn save_as_safetensors(&self, path: &Path) -> Result<()> {
        safetensors_file::save(path, self)
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.tensors.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }

    /// Checks that the tensors have the names and shapes of the network's parameters, and puts them in the network's order.
    /// Does nothing without a network. Messages name `origin`.
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
        check_parameters(model, origin, self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape())))
    }
}

/// Checks that tensors, by names and shapes, are the parameters of a network.
fn check_parameters<'a>(
    model: &Model,
    origin: &str,
    found: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<()> {
    let specs = model.parameters()?;
    let expected: Vec<_> = specs.iter().map(|spec| (spec.name.as_str(), spec.shape.as_slice())).collect();
    crate::model::compare(origin, &expected, found)
}

/// The format by the file's extension.
fn file_format_of_name(path: &Path) -> Result<FileFormat> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "h5" | "hdf5" => Ok(FileFormat::Hdf5),
        "safetensors" => Ok(FileFormat::Safetensors),
        _ => Err(refused(path, "weights are saved as .h5 (or .hdf5) or .safetensors; give the file such a name")),
    }
}

/// The format by the file's first bytes.
fn file_format(path: &Path) -> Result<FileFormat> {
    let mut start = Vec::with_capacity(16);
    let file = regular_file::open(path).map_err(unreadable(path))?;
    file.take(16).read_to_end(&mut start).map_err(unreadable(path))?;
    let what = match start.as_slice() {
        [] => "an empty file",
        bytes if bytes.starts_with(&HDF5_SIGNATURE) => return Ok(FileFormat::Hdf5),
        bytes if bytes.get(8) == Some(&b'{') => return Ok(FileFormat::Safetensors),
        bytes if bytes.len() < 9 => "too short for a weights file",
        bytes if bytes.starts_with(b"PK\x03\x04") => {
            "a zip file, as PyTorch and Keras save, which the crate alexnet-formats reads"
        }
        bytes if bytes.starts_with(b"\x80\x02") || bytes.starts_with(b"\x80\x04") => {
            "a Python pickle, which can run any code; the crate alexnet-formats reads those that hold PyTorch's weights"
        }
        _ => "neither HDF5 nor safetensors by its content; weights are one of the two",
    };
    Err(refused(path, what))
}

fn refused(path: &Path, what: impl Into<String>) -> Error {
    Error::Weights { path: path.into(), what: what.into() }
}

/// The failed attempt in errors of reading.
const READING: &str = "reading the weights failed";

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |source| Error::File { path: path.into(), what: READING, source }
}

/// Fails for a version that this crate cannot read.
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

/// Byte length of a shape, or `None` if it exceeds the address space.
fn byte_count(shape: &[u64], size: u64) -> Option<u64> {
    shape.iter().try_fold(size, |bytes, &axis| bytes.checked_mul(axis)).filter(|&bytes| bytes <= isize::MAX as u64)
}

/// CRC-32C of the values' little-endian bytes.
#[cfg(feature = "hdf5")]
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

/// The number of values that are converted at a time.
const BLOCK: usize = 4096;
