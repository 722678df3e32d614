//! ReLU, tanh and the logistic function.

use crate::{Backend, Device, Result, Tensor};

/// A function applied to each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// max(0, x) (paper, section 3.1).
    Relu,
    /// tanh x.
    Tanh,
    /// 1 / (1 + e^-x).
    Logistic,
}

/// What a backend supplies.
pub trait Kernels: Device {
    /// y = f(x).
    fn activation(&self, f: Activation, len: usize, x: &Self::Floats) -> Result<Self::Floats>;
    /// dx = dy * f'(x), from y: ReLU passes dy where y > 0, tanh 1 - y^2, logistic y (1 - y).
    fn activation_dx(&self, f: Activation, len: usize, y: &Self::Floats, dy: &Self::Floats) -> Result<Self::Floats>;
    /// As [`activation_dx`](Self::activation_dx), in place of dy.
    fn activation_dx_in_place(&self, f: Activation, len: usize, y: &Self::Floats, dy: &mut Self::Floats) -> Result<()> {
        *dy = self.activation_dx(f, len, y, dy)?;
        Ok(())
    }
}

impl<B: Backend> Tensor<B> {
    /// f of each value. NaN stays NaN, also under ReLU.
    pub fn activation(&self, f: Activation) -> Result<Self> {
        Ok(self.with_data(self.device().activation(f, self.len(), &self.data)?))
    }

    /// The gradient of [`activation`](Self::activation) for its input; `self` is dy, `y` the activation's output.
    pub fn activation_dx(&self, f: Activation, y: &Self) -> Result<Self> {
        self.same_shape("activation backward", y)?;
        Ok(self.with_data(self.device().activation_dx(f, self.len(), &y.data, &self.data)?))
    }

    /// As [`activation_dx`](Self::activation_dx), in dy's memory where the device can and nobody else holds it.
    pub fn into_activation_dx(mut self, f: Activation, y: &Self) -> Result<Self> {
        self.same_shape("activation backward", y)?;
        let (device, len) = (self.device().clone(), self.len());
        device.activation_dx_in_place(f, len, &y.data, &mut self.data)?;
        Ok(self)
    }
}
