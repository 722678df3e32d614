//! Other shapes for the same values; nothing is moved.

use tensor::{Backend, Tensor};

use crate::tape::{Backward, Sink, Tape, Var};
use crate::{Error, Result};

/// The shape to go back to.
struct Saved {
    x_shape: Vec<usize>,
}

impl<B: Backend> Tape<B> {
    /// The same values, row-major, under another shape.
    pub fn reshape(&mut self, x: &Var<B>, shape: &[usize]) -> Result<Var<B>> {
        let y = x.value().clone().reshape(shape)?;
        self.record("reshape", &[x], y, || Saved { x_shape: x.shape().to_vec() })
    }

    /// One row a picture: `[n, ...]` to `[n, the rest]`. An NHWC picture's row is in the order height, width, channel.
    pub fn flatten(&mut self, x: &Var<B>) -> Result<Var<B>> {
        let (n, rest) =
            x.shape().split_first().ok_or_else(|| Error::tape("flatten", "expected at least 1 axis, got shape []"))?;
        let shape = [*n, rest.iter().product()];
        self.reshape(x, &shape)
    }
}

impl<B: Backend> Backward<B> for Saved {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        sink.add(0, || dy.reshape(&self.x_shape))
    }
}
