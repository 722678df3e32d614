//! Flattening a map to one row. It has no settings.

use tensor::Backend;

use super::{ForwardContext, KerasLayer, Layer, ReadLayer};
use crate::Var;
use crate::model::reader::{Invalid, TableReader};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;

pub(super) struct Flatten;

impl Layer for Flatten {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        Ok(LayerOutput::without_parameters(input.flatten()))
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        context.pass.tape.flatten(x)
    }

    fn write(&self, _: &mut TableWriter) {}

    fn keras(&self) -> KerasLayer {
        KerasLayer::plain("Flatten")
    }
}

impl ReadLayer for Flatten {
    const KINDS: &'static [&'static str] = &["flatten"];

    fn read(_: &str, _: &mut TableReader) -> Result<Self, Invalid> {
        Ok(Self)
    }
}
