//! Weights of AlexNet-like networks in the files of other frameworks.
//!
//! [`load`] reads a weights file of any of the formats below, by its content, as
//! [`Weights`](layers::weights::Weights) of a network, with a [`Report`] of which tensor became which parameter. Each
//! format is a module: it reads a file as a [`ForeignFile`], tensors in the file's own axes and all else that it says
//! about the network. [`matching`] finds the parameter of each tensor.
//!
//! No reader executes anything that a file says, and none allocates more than the file's length justifies.

pub mod caffe;
mod chain;
mod detect;
mod error;
mod foreign;
pub mod keras;
mod known;
mod layer_names;
pub mod matching;
mod mean;
mod npy;
pub mod onnx;
mod report;
pub mod torch;
mod wire;

use std::path::Path;

pub use layers;
use layers::Model;
use layers::weights::Weights;

pub use detect::Format;
pub use error::{Error, Result};
pub use foreign::{ForeignFile, ForeignTensor, OptimizerState};
pub use mean::{MeanFile, mean};
pub use report::{Matched, Report};

/// Weights of a network, and what the file's tensors became.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Parameters, network, classes and means.
    pub weights: Weights,
    /// The tensors that were matched, permuted, renamed and left over.
    pub report: Report,
    /// Slots of the optimizer, if the file has them.
    pub optimizer: Option<OptimizerState>,
}

/// Loads a weights file of any format for the network that it describes, else for `model`, else for the preset that its
/// tensors fit.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged, hostile or of no known format;
/// [`Error::Layers`] if its tensors fit no network.
pub fn load(path: &Path, model: Option<&Model>) -> Result<Loaded> {
    match Format::of(path)? {
        Format::Own | Format::Safetensors => {
            let weights = match model {
                Some(model) => Weights::load_else_for(path, model)?,
                None => Weights::load(path)?,
            };
            let report = Report::of_own(&weights);
            Ok(Loaded { weights, report, optimizer: None })
        }
        format => matching::into_weights(path, read(path, format)?, model),
    }
}

/// Reads a file of another framework.
fn read(path: &Path, format: Format) -> Result<ForeignFile> {
    match format {
        Format::Torch => torch::read(path),
        Format::KerasArchive | Format::KerasHdf5 => keras::read(path),
        Format::Caffe => caffe::read(path),
        Format::Onnx => onnx::read(path),
        Format::Own | Format::Safetensors => Err(Error::refused(path, "is not a file of another framework")),
    }
}
