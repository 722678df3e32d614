//! Softmax at the end of a network. It has no settings. A forward pass leaves it to the code that needs probabilities.

use super::{KerasLayer, Layer, ReadLayer};
use crate::model::reader::{Invalid, TableReader};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;

pub(super) struct Softmax;

impl Layer for Softmax {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, context: &LayerContext) -> Result<LayerOutput, String> {
        if !context.is_last {
            return Err("softmax must be the last layer".into());
        }
        Ok(LayerOutput::without_parameters(input.clone()))
    }

    fn write(&self, _: &mut TableWriter) {}

    fn keras(&self) -> KerasLayer {
        KerasLayer::function("Softmax")
    }
}

impl ReadLayer for Softmax {
    const KINDS: &'static [&'static str] = &["softmax"];

    fn read(_: &str, _: &mut TableReader) -> Result<Self, Invalid> {
        Ok(Self)
    }
}
