//! Convolution (paper, section 3.5).

use tensor::Backend;

use super::{Initializer, invalid, weight_and_bias};
use crate::model::Conv;
use crate::ops::Stage;
use crate::{Module, Parameter, Pass, Result, Var, parameters};

/// A 2-D convolution with its parameters: `[n, height, width, channels]` to `[n, output height, output width, filters]`.
///
/// ```
/// use alexnet_layers::model::Conv;
/// use alexnet_layers::nn::{Conv2d, Initializer};
/// use alexnet_layers::tensor::{Cpu, Tensor};
/// use alexnet_layers::{Module, Parameters};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let conv = Conv2d::new(&mut Initializer::new(&cpu, 1), 3, &Conv::new(64, 11).stride(4).padding(2))?;
/// assert_eq!(conv.parameter_count(), 64 * 11 * 11 * 3 + 64);
/// assert_eq!(conv.predict(Tensor::zeros(&cpu, &[1, 63, 63, 3])?)?.shape(), [1, 15, 15, 64]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conv2d<B: Backend> {
    /// Kernels `[filters, kernel height, kernel width, channels / groups]`.
    pub weight: Parameter<B>,
    /// `[filters]`.
    pub bias: Option<Parameter<B>>,
    settings: Conv,
}

parameters! { Conv2d { weight, bias } }

impl<B: Backend> Conv2d<B> {
    /// A convolution of maps of this many channels.
    ///
    /// # Errors
    /// [`tensor::Error::Argument`] for counts of 0 and for groups that do not divide the channels and the filters; those
    /// of the device.
    pub fn new(init: &mut Initializer<B>, channels: usize, settings: &Conv) -> Result<Self> {
        let Conv { filters, kernel, stride, groups, .. } = *settings;
        if [filters, kernel[0], kernel[1], stride[0], stride[1], groups, channels].contains(&0) {
            let what = "channels, filters, kernel, stride and groups must be above 0".into();
            return Err(invalid("conv2d")(what));
        }
        if !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            let what = format!("{groups} groups must divide the {channels} channels and the {filters} filters");
            return Err(invalid("conv2d")(what));
        }
        let specs = settings.specs(channels).map_err(invalid("conv2d"))?;
        let (weight, bias) = weight_and_bias(init, specs)?;
        Ok(Self { weight, bias, settings: settings.clone() })
    }

    /// Kernel, stride, padding and groups.
    pub fn settings(&self) -> &Conv {
        &self.settings
    }

    /// The convolution, then `stages`, which are computed with it where the device can: the same values as layer by
    /// layer, in less time and memory.
    ///
    /// # Errors
    /// Those of [`Tape::conv2d`](crate::Tape::conv2d).
    pub fn forward_stages(&self, x: &Var<B>, stages: &[Stage], pass: &mut Pass<B>) -> Result<Var<B>> {
        let size = [1, 2].map(|axis| x.shape().get(axis).copied().unwrap_or(1));
        let weight = pass.parameter(&self.weight);
        let bias = self.bias.as_ref().map(|bias| pass.parameter(bias));
        pass.tape.conv2d(x, &weight, bias.as_ref(), &self.settings.operation(size), stages)
    }
}

impl<B: Backend> Module<B> for Conv2d<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        self.forward_stages(x, &[], pass)
    }
}
