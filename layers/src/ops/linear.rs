//! The fully connected layer, with an optional fused ReLU.

use tensor::{Backend, Tensor};

use super::undo_relu;
use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

const X: usize = 0;
const W: usize = 1;
const BIAS: usize = 2;

/// Input and weights; the output only where a fused ReLU must be undone.
struct Saved<B: Backend> {
    x: Tensor<B>,
    w: Tensor<B>,
    y: Option<Tensor<B>>,
}

impl<B: Backend> Tape<B> {
    /// x W^T + b: rows `[n, in]`, weights `[out, in]`, bias `[out]`; then a ReLU if `relu`: `[n, out]`.
    pub fn linear(&mut self, x: &Var<B>, w: &Var<B>, b: Option<&Var<B>>, relu: bool) -> Result<Var<B>> {
        let y = x.value().linear(w.value(), b.map(Var::value), relu)?;
        let inputs: Vec<&Var<B>> = [x, w].into_iter().chain(b).collect();
        self.record("linear", &inputs, y.clone(), || Saved {
            x: x.value().clone(),
            w: w.value().clone(),
            y: relu.then_some(y),
        })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        let Saved { x, w, y } = *self;
        let dy = undo_relu(dy, y)?;
        sink.add(BIAS, || dy.sum_rows())?;
        sink.add(W, || dy.linear_dw(&x))?;
        sink.add(X, || dy.linear_dx(&w))
    }
}
