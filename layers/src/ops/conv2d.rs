//! 2-D convolution with groups, bias and an optional fused ReLU.

use tensor::ops::Conv2d;
use tensor::{Backend, Tensor};

use super::undo_relu;
use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

const X: usize = 0;
const W: usize = 1;
const BIAS: usize = 2;

/// Input and weights; the output only where a fused ReLU must be undone.
struct Saved<B: Backend> {
    spec: Conv2d,
    x: Tensor<B>,
    w: Tensor<B>,
    y: Option<Tensor<B>>,
}

impl<B: Backend> Tape<B> {
    /// Convolves `[n, h, w, c]` with weights `[out, kh, kw, c / groups]` and adds a bias `[out]`; then a ReLU if
    /// `spec.relu`: `[n, oh, ow, out]` (paper, section 3.5).
    pub fn conv2d(&mut self, x: &Var<B>, w: &Var<B>, b: Option<&Var<B>>, spec: &Conv2d) -> Result<Var<B>> {
        let y = x.value().conv2d(spec, w.value(), b.map(Var::value))?;
        let inputs: Vec<&Var<B>> = [x, w].into_iter().chain(b).collect();
        self.record("conv2d", &inputs, y.clone(), || Saved {
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
        sink.add(BIAS, || dy.sum_rows())?;
        sink.add(W, || dy.conv2d_dw(&spec, &x, w.shape()))?;
        sink.add(X, || dy.conv2d_dx(&spec, x.shape(), &w))
    }
}
