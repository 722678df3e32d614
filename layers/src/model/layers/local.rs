//! Locally connected layers: convolution with unshared weights.

use serde::{Deserialize, Serialize};
use tensor::Backend;
use tensor::ops::Conv2d;

use super::{Conv, ForwardContext, KerasLayer, Layer, ReadLayer};
use crate::Var;
use crate::model::parameter::Layout;
use crate::model::reader::{Invalid, TableReader};
use crate::model::shape::{Activations, LayerContext, LayerOutput, value_count};
use crate::model::writer::TableWriter;

/// A locally connected layer, like Keras' `LocallyConnected2D`: a convolution with separate kernels at each position.
///
/// ```
/// use alexnet_layers::LayerKind;
/// use alexnet_layers::model::{Conv, Local};
///
/// assert_eq!(LayerKind::Local(Local(Conv::new(64, 3))).name(), "local");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Local(pub Conv);

impl Local {
    /// The tensor operation for an input of this height and width.
    pub fn operation(&self, input: [usize; 2]) -> Conv2d {
        self.0.operation(input)
    }
}

impl Layer for Local {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        let Self(conv) = self;
        let map = input.map()?;
        let channels = map[2];
        let output = conv.geometry(map)?.output;
        let activations = Activations::new(&output)?;
        let positions = value_count(&output[..2])?;
        let [filters, height, width, depth] = conv.kernel_shape(channels);
        let weight = [positions, filters, height, width, depth];
        let fans = conv.fans(channels)?;
        Ok(LayerOutput {
            activations,
            parameters: conv.parameters.specs(&weight, Layout::Local, &output, fans)?,
            macs: conv.macs(&output, channels)?,
        })
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        let operation = self.operation(context.position.map_size());
        let weight = context.weight()?;
        let bias = context.bias();
        context.pass.tape.local2d(x, &weight, bias.as_ref(), &operation, context.stages)
    }

    fn write(&self, table: &mut TableWriter) {
        table.write(self);
    }

    fn keras(&self) -> KerasLayer {
        KerasLayer::with_activation("LocallyConnected2D")
    }
}

impl ReadLayer for Local {
    const KINDS: &'static [&'static str] = &["local"];

    fn read(kind: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        Conv::read(kind, table).map(Self)
    }
}
