//! A parameter as it is given to a step.

use tensor::{Backend, Tensor};

use crate::error::{Range, check};
use crate::{Error, Result};

/// A parameter to update in place.
///
/// ```
/// use alexnet_optim::Update;
/// use alexnet_optim::tensor::{Cpu, Tensor};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut w = Tensor::zeros(&cpu, &[2])?;
/// let gradient = Tensor::full(&cpu, &[2], 0.5)?;
/// let update = Update::new("conv1.bias", &mut w, &gradient);
/// assert_eq!(update.lr_mult, 1.0);
/// let update = Update { lr_mult: 2.0, decay_mult: 0.0, ..update };
/// # Ok::<(), alexnet_optim::tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Update<'a, B: Backend> {
    /// The name, unique among the parameters: the key of its state.
    pub name: &'a str,
    /// The parameter.
    pub value: &'a mut Tensor<B>,
    /// The gradient of the mean loss.
    pub gradient: &'a Tensor<B>,
    /// Multiplier of the learning rate, at least 0. With 0 the parameter is frozen: it and its state stay unchanged.
    pub lr_mult: f64,
    /// Multiplier of the weight decay, at least 0.
    pub decay_mult: f64,
}

impl<'a, B: Backend> Update<'a, B> {
    /// An update with multipliers of 1.
    pub fn new(name: &'a str, value: &'a mut Tensor<B>, gradient: &'a Tensor<B>) -> Self {
        Self { name, value, gradient, lr_mult: 1.0, decay_mult: 1.0 }
    }

    /// Checks the multipliers, and that the gradient has the parameter's shape.
    pub(crate) fn validate(&self) -> Result<()> {
        check(&format!("lr_mult of `{}`", self.name), Range::NonNegative, self.lr_mult)?;
        check(&format!("decay_mult of `{}`", self.name), Range::NonNegative, self.decay_mult)?;
        if self.gradient.shape() == self.value.shape() {
            return Ok(());
        }
        Err(Error::Shape {
            parameter: self.name.into(),
            what: "gradient".into(),
            expected: self.value.shape().to_vec(),
            got: self.gradient.shape().to_vec(),
        })
    }
}
