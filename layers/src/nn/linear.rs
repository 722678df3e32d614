//! The fully connected layer.

use tensor::Backend;

use super::{Initializer, invalid, weight_and_bias};
use crate::model::{ParameterSettings, linear_specs};
use crate::ops::Stage;
use crate::{Module, Parameter, Pass, Result, Var, parameters};

/// A fully connected layer with its parameters: `[n, inputs]` or a map `[n, height, width, channels]`, which it flattens,
/// to `[n, outputs]`.
///
/// ```
/// use alexnet_layers::nn::{Initializer, Linear};
/// use alexnet_layers::tensor::{Cpu, Tensor};
/// use alexnet_layers::Module;
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut init = Initializer::new(&cpu, 1);
/// let hidden = Linear::new(&mut init, &[6, 6, 16], 32)?; // on a map
/// let output = Linear::new(&mut init, &[32], 10)?;
/// let rows = hidden.predict(Tensor::zeros(&cpu, &[2, 6, 6, 16])?)?;
/// assert_eq!(output.predict(rows)?.shape(), [2, 10]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear<B: Backend> {
    /// `[outputs, inputs]`; the inputs of a map are in the order height, width, channel.
    pub weight: Parameter<B>,
    /// `[outputs]`.
    pub bias: Option<Parameter<B>>,
}

parameters! { Linear { weight, bias } }

impl<B: Backend> Linear<B> {
    /// A layer for inputs of this shape for one image, `[values]` or `[height, width, channels]`, with PyTorch's initial
    /// weights and a bias of zeros.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub fn new(init: &mut Initializer<B>, inputs: &[usize], outputs: usize) -> Result<Self> {
        Self::with(init, inputs, outputs, &ParameterSettings::default())
    }

    /// Like [`new`](Self::new), with other settings of weights and bias.
    ///
    /// # Errors
    /// [`tensor::Error::Argument`] for a shape of no values or of other than 1 or 3 axes; those of the device.
    pub fn with(
        init: &mut Initializer<B>,
        inputs: &[usize],
        outputs: usize,
        settings: &ParameterSettings,
    ) -> Result<Self> {
        let map: Option<[usize; 3]> = inputs.try_into().ok();
        let values = inputs.iter().product();
        if values == 0 || outputs == 0 || (map.is_none() && inputs.len() != 1) {
            let what = format!("expected inputs [values] or [height, width, channels], got {inputs:?} to {outputs}");
            return Err(invalid("linear")(what));
        }
        let specs = linear_specs(settings, values, map, outputs).map_err(invalid("linear"))?;
        let (weight, bias) = weight_and_bias(init, specs)?;
        Ok(Self { weight, bias })
    }

    /// The layer, then `stages`, which are computed with it where the device can.
    ///
    /// # Errors
    /// Those of [`Tape::linear`](crate::Tape::linear).
    pub fn forward_stages(&self, x: &Var<B>, stages: &[Stage], pass: &mut Pass<B>) -> Result<Var<B>> {
        let is_flat = x.shape().len() == 2;
        let rows = if is_flat { x.clone() } else { pass.tape.flatten(x)? };
        let weight = pass.parameter(&self.weight);
        let bias = self.bias.as_ref().map(|bias| pass.parameter(bias));
        pass.tape.linear(&rows, &weight, bias.as_ref(), stages)
    }
}

impl<B: Backend> Module<B> for Linear<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        self.forward_stages(x, &[], pass)
    }
}
