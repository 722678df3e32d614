//! The fully connected layer, with an epilogue.

use tensor::{Backend, Tensor};

use super::epilogue::{Epilogue, Stage};
use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

const X: usize = 0;
const W: usize = 1;
const BIAS: usize = 2;

/// Input and weights, and the values of the epilogue.
struct Saved<B: Backend> {
    x: Tensor<B>,
    w: Tensor<B>,
    epilogue: Epilogue<B>,
}

impl<B: Backend> Tape<B> {
    /// x W^T + b, then `stages`: rows `[n, in]`, weights `[out, in]`, bias `[out]`, result `[n, out]`.
    pub fn linear(&mut self, x: &Var<B>, w: &Var<B>, b: Option<&Var<B>>, stages: &[Stage]) -> Result<Var<B>> {
        let relu = stages.first() == Some(&Stage::Relu);
        let y = x.value().linear(w.value(), b.map(Var::value), relu)?;
        let (y, epilogue) = Epilogue::forward(y, stages, usize::from(relu))?;
        let inputs: Vec<&Var<B>> = [x, w].into_iter().chain(b).collect();
        self.record("linear", &inputs, y, || Saved { x: x.value().clone(), w: w.value().clone(), epilogue })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let Saved { x, w, epilogue } = *self;
        let dy = epilogue.backward(dy, Some(BIAS), grads)?;
        grads.add(W, || dy.linear_dw(&x))?;
        grads.add(X, || dy.linear_dx(&w))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ops::testing::{check, off_grid, quarters};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn gradients(n in 1usize..5, inner in 1usize..6, out in 1usize..6, relu: bool, seed: u64) {
            let x = quarters(&[n, inner], seed);
            let w = quarters(&[out, inner], seed.wrapping_add(1));
            let b = off_grid(&[out], seed.wrapping_add(2));
            let stages: &[Stage] = if relu { &[Stage::Relu] } else { &[] };
            let parameters = [("x", x), ("w", w), ("b", b)];
            check(&parameters, |tape, p| tape.linear(&p[0], &p[1], Some(&p[2]), stages))?;
            check(&parameters[..2], |tape, p| tape.linear(&p[0], &p[1], None, &[]))?;
        }
    }
}
