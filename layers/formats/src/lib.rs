//! Weights of AlexNet-like networks in the files of other frameworks.
//!
//! [`load`] reads a weights file of any of the formats below, by its content, as
//! [`Weights`] of a network, with a [`Report`] of which tensor became which parameter. Each
//! format is a module: it reads a file as a [`ForeignFile`], tensors in the file's own axes and all else that it says
//! about the network. [`matching`] finds the parameter of each tensor. [`save()`] writes the formats that can be written.
//!
//! No reader executes anything that a file says, and none allocates more than the file's length justifies.
#![warn(missing_docs)]

mod budget;
pub mod caffe;
mod chain;
mod detect;
mod error;
mod finite;
mod foreign;
mod hdf5_tree;
pub mod keras;
mod known;
mod layer_names;
pub mod matching;
mod mean;
mod network;
mod npy;
mod npy_rows;
pub mod onnx;
mod report;
mod safetensors;
mod save;
mod shards;
pub mod torch;
mod wire;
mod zip_output;

use std::path::Path;

pub use layers;
use layers::Model;
use layers::weights::Weights;

pub use detect::Format;
pub use error::{Error, Result};
pub use finite::not_finite;
pub use foreign::{ForeignFile, ForeignTensor, OptimizerState};
pub use mean::{MeanFile, mean};
pub use network::{model, model_of};
pub use npy::save_npy;
pub use npy_rows::NpyRows;
pub use report::{Matched, Report};
pub use save::{save, save_with};

/// Weights of a network, and what the file's tensors became.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Parameters, network, classes and means.
    pub weights: Weights,
    /// The tensors that were matched, permuted, renamed and left over.
    pub report: Report,
    /// The network that the file describes, if the tensors were matched with another that the caller named.
    pub described: Option<Model>,
    /// Slots of the optimizer, if the file has them.
    pub optimizer: Option<OptimizerState>,
}

/// Loads a weights file of any format. A file of this workspace is loaded for the network that it names, else for `model`;
/// a file of another framework for `model`, else for the network that it describes, else for the preset that its tensors
/// fit. The number of classes is the file's.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged, hostile or of no known format;
/// [`Error::UnknownNetwork`] if it is not known which network it is for; [`Error::Layers`] if its tensors do not fit the
/// network.
pub fn load(path: &Path, model: Option<&Model>) -> Result<Loaded> {
    match read_for(path, model)? {
        Some(file) => matching::into_weights(path, file, model),
        None => own(path, model),
    }
}

/// Loads a file of another framework that lacks the last linear layers of `model` and has all others, as one of a Keras
/// model with `include_top=False`: the weights are without those layers. None for a file that is another one.
///
/// # Errors
/// Those of [`read`] and of the network.
pub fn load_without_top(path: &Path, model: &Model) -> Result<Option<Loaded>> {
    match read_for(path, Some(model))? {
        Some(file) => matching::into_weights_without_top(path, file, model),
        None => Ok(None),
    }
}

/// Reads a file of another framework, without a network for its tensors; `None` for a file of this workspace.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged, hostile or of no known format.
pub fn read(path: &Path) -> Result<Option<ForeignFile>> {
    read_for(path, None)
}

/// Reads a file as [`read`] does; a file that describes no network may be read as one of `model`.
fn read_for(path: &Path, model: Option<&Model>) -> Result<Option<ForeignFile>> {
    let Some(mut file) = read_any(path, model)? else { return Ok(None) };
    if let Some(model) = &file.model {
        network::check(path, model)?;
    }
    file.check_description(file.model.as_ref()).map_err(|what| Error::refused(path, what))?;
    let note = not_finite(file.tensors.iter().map(|tensor| (tensor.name.as_str(), &tensor.values)));
    file.notes.extend(note);
    Ok(Some(file))
}

fn read_any(path: &Path, model: Option<&Model>) -> Result<Option<ForeignFile>> {
    match Format::of(path)? {
        Format::Own => Ok(None),
        Format::Safetensors if safetensors::is_own(path)? => Ok(None),
        Format::Safetensors => safetensors::read(path).map(Some),
        Format::Shards => shards::read(path).map(Some),
        Format::Torch => torch::read(path).map(Some),
        Format::KerasArchive | Format::KerasHdf5 => keras::read_for(path, model).map(Some),
        Format::Caffe => caffe::read(path).map(Some),
        Format::Onnx => onnx::read(path).map(Some),
    }
}

/// Whether a weights file is one of this workspace, which may be a damaged one.
///
/// # Errors
/// Those of [`read`].
pub fn is_own(path: &Path) -> Result<bool> {
    match Format::of(path)? {
        Format::Own => Ok(true),
        Format::Safetensors => safetensors::is_own(path),
        _ => Ok(false),
    }
}

/// Loads a file of this workspace.
fn own(path: &Path, model: Option<&Model>) -> Result<Loaded> {
    let weights = match model {
        Some(model) => Weights::load_else_for(path, model)?,
        None => Weights::load(path)?,
    };
    let report = Report::of_own(Format::of(path)?, &weights);
    Ok(Loaded { weights, report, described: None, optimizer: None })
}

/// The README's program, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
