//! Adaptive average pooling.

use serde::{Deserialize, Serialize};
use tensor::Backend;

use super::{ForwardContext, KerasLayer, Layer, ReadLayer};
use crate::model::reader::{Invalid, TableReader};
use crate::model::settings::pair;
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::tape::Var;

/// Average pooling of maps `[height, width, channels]` to a given height and width, like PyTorch's `AdaptiveAvgPool2d`.
///
/// ```
/// use alexnet_layers::Module;
/// use alexnet_layers::model::AdaptiveAveragePool;
/// use alexnet_layers::tensor::{Cpu, Tensor};
///
/// let pool = AdaptiveAveragePool { output: [6, 6] };
/// assert_eq!(pool.predict(Tensor::zeros(&Cpu::<f32>::new(1)?, &[1, 9, 13, 2])?)?.shape(), [1, 6, 6, 2]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptiveAveragePool {
    /// Height and width of the output.
    #[serde(with = "pair")]
    pub output: [usize; 2],
}

impl Layer for AdaptiveAveragePool {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        let [_, _, channels] = input.map()?;
        let [height, width] = self.output;
        Ok(LayerOutput::without_parameters(Activations::new(&[height, width, channels])?))
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        context.pass.tape.adaptive_average_pool(x, self.output)
    }

    fn write(&self, table: &mut TableWriter) {
        table.write(self);
    }

    /// Keras has it for an output of 1 x 1 only; a `Lambda` can compute it.
    fn keras(&self) -> KerasLayer {
        KerasLayer::plain("Lambda")
    }
}

impl ReadLayer for AdaptiveAveragePool {
    const KINDS: &'static [&'static str] = &["adaptive-average-pool"];

    fn read(_: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        table.read()
    }
}
