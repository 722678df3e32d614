//! Sum and mean of all values.

use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

/// Each value's share in the result.
struct Saved {
    x_shape: Vec<usize>,
    factor: f64,
}

impl<B: Backend> Tape<B> {
    /// The sum of all values: `[1]`.
    pub fn sum(&mut self, x: &Var<B>) -> Result<Var<B>> {
        let y = x.value().sum()?;
        self.record("sum", &[x], y, || Saved { x_shape: x.shape().to_vec(), factor: 1.0 })
    }

    /// The mean of all values: `[1]`.
    pub fn mean(&mut self, x: &Var<B>) -> Result<Var<B>> {
        let y = x.value().mean()?;
        let factor = 1.0 / x.value().len().max(1) as f64;
        self.record("mean", &[x], y, || Saved { x_shape: x.shape().to_vec(), factor })
    }
}

impl<B: Backend> Backward<B> for Saved {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        let value = self.factor * sink.factor(&dy)?;
        sink.add(0, || Tensor::full(dy.device(), &self.x_shape, value))
    }
}
