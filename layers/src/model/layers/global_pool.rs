//! Global average pooling. It has no settings.

use tensor::Backend;

use super::{ForwardContext, KerasLayer, Layer, ReadLayer};
use crate::model::reader::{Invalid, TableReader};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::tape::Var;

/// The average of each channel of a map: `[n, height, width, channels]` to `[n, channels]`, like Keras'
/// `GlobalAveragePooling2D`.
///
/// ```
/// use alexnet_layers::Module;
/// use alexnet_layers::model::GlobalAveragePool;
/// use alexnet_layers::tensor::{Cpu, Tensor};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let map = Tensor::from_slice(&cpu, &[1, 2, 2, 1], &[1.0, 2.0, 3.0, 6.0])?;
/// assert_eq!(GlobalAveragePool.predict(map)?.to_vec()?, [3.0]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalAveragePool;

impl Layer for GlobalAveragePool {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        let [_, _, channels] = input.map()?;
        Ok(LayerOutput::without_parameters(Activations::new(&[channels])?))
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        context.pass.tape.global_average_pool(x)
    }

    fn write(&self, _: &mut TableWriter) {}

    fn keras(&self) -> KerasLayer {
        KerasLayer::plain("GlobalAveragePooling2D")
    }
}

impl ReadLayer for GlobalAveragePool {
    const KINDS: &'static [&'static str] = &["global-average-pool"];

    fn read(_: &str, _: &mut TableReader) -> Result<Self, Invalid> {
        Ok(Self)
    }
}
