//! Writes a network with its weights as an ONNX graph.

mod file;
mod nodes;
mod pools;

use std::path::Path;

use layers::weights::Weights;

use crate::{Error, Result};
use nodes::GraphWriter;

/// The output of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GraphOutput {
    /// The values before the softmax, under the name `logits`.
    #[default]
    Logits,
    /// Probabilities of the classes, under the name `probabilities`.
    Probabilities,
}

/// Writes weights as an ONNX graph of operators 17: input `images`, `[batch, 3, crop, crop]`, prepared as the network's
/// `[input]` says; parameters under the names that the network exports. The metadata hold the network, the names of the
/// classes and the means. After a crash there is the old file or the new one.
///
/// # Errors
/// [`Error::Refused`] with the layer that no operator computes, for weights without a network, and for more than 2 GiB;
/// [`Error::Layers`] if the tensors are not the network's; [`Error::File`] if the file cannot be written.
pub fn save(path: &Path, weights: &Weights, output: GraphOutput) -> Result<()> {
    let model = weights.model.as_ref();
    let model =
        model.ok_or_else(|| Error::refused(path, "weights without a network are no ONNX graph; name the network"))?;
    let graph = GraphWriter::of(model, output).map_err(|what| Error::refused(path, what))?;
    file::write(path, weights, model, graph)
}
