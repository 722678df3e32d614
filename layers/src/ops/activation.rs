//! ReLU, tanh and the logistic function.

use tensor::ops::Activation;
use tensor::{Backend, Tensor};

use crate::tape::{Backward, Sink, Tape, Var};
use crate::Result;

/// The output: all three gradients follow from it.
struct Saved<B: Backend> {
    f: Activation,
    y: Tensor<B>,
}

impl<B: Backend> Tape<B> {
    /// f of each value; any shape (paper, section 3.1).
    pub fn activation(&mut self, x: &Var<B>, f: Activation) -> Result<Var<B>> {
        let y = x.value().activation(f)?;
        self.record("activation", &[x], y.clone(), || Saved { f, y })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        sink.add(0, || dy.activation_dx(self.f, &self.y))
    }
}
