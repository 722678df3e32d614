//! The gradients of a ReLU of maps plus a bias, for both at once: one pass over the maps instead of two.

use super::{Activation, activation, reduce};
use crate::{Backend, Result, Tensor};

/// What a backend supplies.
pub trait Kernels: activation::Kernels + reduce::Kernels {
    /// dy where y > 0 and 0 elsewhere, in place of dy, and its sum over `rows` rows: `[c]`.
    fn relu_bias_dx(&self, rows: usize, c: usize, y: &Self::Floats, dy: &mut Self::Floats) -> Result<Self::Floats> {
        self.activation_dx_in_place(Activation::Relu, rows * c, y, dy)?;
        self.sum_rows(rows, c, dy)
    }
}

impl<B: Backend> Tensor<B> {
    /// The gradient of relu(x + b), for x and for b `[c]`, which is added to each row of the last axis; `self` is dy, `y` the
    /// output. The same as [`into_activation_dx`](Self::into_activation_dx) and [`sum_rows`](Self::sum_rows).
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless dy and y have one shape, with a last axis of at least 1.
    pub fn into_relu_bias_dx(mut self, y: &Self) -> Result<(Self, Self)> {
        self.same_shape("ReLU backward", y)?;
        let (device, c) = (self.device().clone(), self.last_axis()?);
        let sums = device.relu_bias_dx(self.len() / c, c, &y.data, &mut self.data)?;
        Ok((self, Self::from_parts(device, vec![c], sums)))
    }
}
