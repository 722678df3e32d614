//! Locally connected layer: a convolution whose every position has kernels of its own.

use tensor::ops::Conv2d;
use tensor::{Backend, Tensor};

use super::epilogue::{Epilogue, Stage};
use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

const X: usize = 0;
const W: usize = 1;
const BIAS: usize = 2;

/// Input and weights, and the values of the epilogue.
struct Saved<B: Backend> {
    spec: Conv2d,
    x: Tensor<B>,
    w: Tensor<B>,
    epilogue: Epilogue<B>,
}

impl<B: Backend> Tape<B> {
    /// Applies weights `[oh * ow, out, kh, kw, c / groups]` and a bias `[oh, ow, out]` to `[n, h, w, c]`, and computes
    /// `stages` on the result `[n, oh, ow, out]`.
    pub fn local2d(
        &mut self,
        x: &Var<B>,
        w: &Var<B>,
        b: Option<&Var<B>>,
        spec: &Conv2d,
        stages: &[Stage],
    ) -> Result<Var<B>> {
        let y = x.value().local2d(spec, w.value(), b.map(Var::value))?;
        let (y, epilogue) = Epilogue::forward(y, stages, 0)?;
        let inputs: Vec<&Var<B>> = [x, w].into_iter().chain(b).collect();
        self.record("local2d", &inputs, y, || Saved {
            spec: *spec,
            x: x.value().clone(),
            w: w.value().clone(),
            epilogue,
        })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let Saved { spec, x, w, epilogue } = *self;
        let dy = epilogue.backward(dy, None, grads)?;
        grads.add(BIAS, || dy.sum_first())?;
        grads.add(W, || dy.local2d_dw(&spec, &x, w.shape()))?;
        grads.add(X, || dy.local2d_dx(&spec, x.shape(), &w))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ops::Padding;

    use super::*;
    use crate::ops::testing::{check, off_grid, quarters};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn gradients(
            n in 1usize..3,
            room in [0usize..4, 0usize..4],
            kernel in [1usize..4, 1usize..4],
            stride in [1usize..3, 1usize..3],
            channels in [1usize..3, 1usize..3],
            groups in 1usize..3,
            pads in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
            relu: bool,
            seed: u64,
        ) {
            let [top, bottom, left, right] = pads;
            let spec = Conv2d { stride, padding: Padding { top, bottom, left, right }, groups };
            let stages: &[Stage] = if relu { &[Stage::Relu] } else { &[] };
            let [inner, out] = channels;
            let x = quarters(&[n, kernel[0] + room[0], kernel[1] + room[1], inner * groups], seed);
            let [oh, ow, _] = spec.geometry(x.shape(), &[out * groups, kernel[0], kernel[1], inner]).unwrap().output;
            let w = quarters(&[oh * ow, out * groups, kernel[0], kernel[1], inner], seed.wrapping_add(1));
            let b = off_grid(&[oh, ow, out * groups], seed.wrapping_add(2));
            let parameters = [("x", x), ("w", w), ("b", b)];
            check(&parameters, |tape, p| tape.local2d(&p[0], &p[1], Some(&p[2]), &spec, stages))?;
            check(&parameters[..2], |tape, p| tape.local2d(&p[0], &p[1], None, &spec, &[]))?;
        }
    }
}
