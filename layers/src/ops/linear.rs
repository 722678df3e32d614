//! The fully connected layer, with an optional fused ReLU.

use tensor::{Backend, Tensor};

use super::undo_relu_and_bias;
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
        let dy = undo_relu_and_bias(dy, y, BIAS, sink)?;
        sink.add(W, || dy.linear_dw(&x))?;
        sink.add(X, || dy.linear_dx(&w))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ops::testing::{check, off_grid, quarters};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn gradients(n in 1usize..5, inner in 1usize..6, out in 1usize..6, relu: bool, seed: u64) {
            let x = quarters(&[n, inner], seed);
            let w = quarters(&[out, inner], seed.wrapping_add(1));
            let b = off_grid(&[out], seed.wrapping_add(2));
            let parameters = [("x", x), ("w", w), ("b", b)];
            check(&parameters, |tape, p| tape.linear(&p[0], &p[1], Some(&p[2]), relu))?;
            check(&parameters[..2], |tape, p| tape.linear(&p[0], &p[1], None, false))?;
        }
    }
}
