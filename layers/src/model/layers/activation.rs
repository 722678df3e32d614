//! ReLU, tanh and the logistic function. They have no settings.

use tensor::Backend;
use tensor::ops::Activation;

use super::{ForwardContext, KerasLayer, Layer, LayerPosition, ReadLayer};
use crate::Var;
use crate::model::reader::{Invalid, TableReader};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::ops::Stage;

impl Layer for Activation {
    fn kind(&self) -> &'static str {
        self.name()
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        Ok(LayerOutput::without_parameters(input.clone()))
    }

    fn stage(&self, _: &LayerPosition) -> Option<Stage> {
        (*self == Self::Relu).then_some(Stage::Relu)
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        context.pass.tape.activation(x, *self)
    }

    fn write(&self, _: &mut TableWriter) {}

    fn keras(&self) -> KerasLayer {
        match self {
            Self::Relu => KerasLayer::function("ReLU"),
            _ => KerasLayer::function("Activation"),
        }
    }
}

impl ReadLayer for Activation {
    const KINDS: &'static [&'static str] = &["relu", "tanh", "logistic"];

    fn read(kind: &str, _: &mut TableReader) -> Result<Self, Invalid> {
        Ok(match kind {
            "tanh" => Self::Tanh,
            "logistic" => Self::Logistic,
            _ => Self::Relu,
        })
    }
}
