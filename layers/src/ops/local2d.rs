//! Locally connected layer: a convolution whose every position has kernels of its own.

use tensor::ops::{Activation, Conv2d};
use tensor::{Backend, Tensor};

use super::undo_relu;
use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

const X: usize = 0;
const W: usize = 1;
const BIAS: usize = 2;

/// Input and weights; the output only where a ReLU must be undone.
struct Saved<B: Backend> {
    spec: Conv2d,
    x: Tensor<B>,
    w: Tensor<B>,
    y: Option<Tensor<B>>,
}

impl<B: Backend> Tape<B> {
    /// Applies weights `[oh * ow, out, kh, kw, c / groups]` and a bias `[oh, ow, out]` to `[n, h, w, c]`; then a ReLU if
    /// `spec.relu`: `[n, oh, ow, out]`.
    pub fn local2d(&mut self, x: &Var<B>, w: &Var<B>, b: Option<&Var<B>>, spec: &Conv2d) -> Result<Var<B>> {
        let mut y = x.value().local2d(spec, w.value(), b.map(Var::value))?;
        if spec.relu {
            y = y.activation(Activation::Relu)?;
        }
        let inputs: Vec<&Var<B>> = [x, w].into_iter().chain(b).collect();
        self.record("local2d", &inputs, y.clone(), || Saved {
            spec: *spec,
            x: x.value().clone(),
            w: w.value().clone(),
            y: spec.relu.then_some(y),
        })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        let Saved { spec, x, w, y } = *self;
        let dy = undo_relu(dy, y)?;
        sink.add(BIAS, || dy.sum_first())?;
        sink.add(W, || dy.local2d_dw(&spec, &x, w.shape()))?;
        sink.add(X, || dy.local2d_dx(&spec, x.shape(), &w))
    }
}
