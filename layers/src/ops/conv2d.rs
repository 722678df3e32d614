//! 2-D convolution with groups, bias and an epilogue.

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
    /// Convolves `[n, h, w, c]` with weights `[out, kh, kw, c / groups]`, adds a bias `[out]` and computes `stages` on the
    /// result `[n, oh, ow, out]` (paper, section 3.5).
    pub fn conv2d(
        &mut self,
        x: &Var<B>,
        w: &Var<B>,
        b: Option<&Var<B>>,
        spec: &Conv2d,
        stages: &[Stage],
    ) -> Result<Var<B>> {
        let relu = stages.first() == Some(&Stage::Relu);
        let y = x.value().conv2d(spec, w.value(), b.map(Var::value), relu)?;
        let (y, epilogue) = Epilogue::forward(y, stages, usize::from(relu))?;
        let inputs: Vec<&Var<B>> = [x, w].into_iter().chain(b).collect();
        self.record("conv2d", &inputs, y, || Saved {
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
        let dy = epilogue.backward(dy, Some(BIAS), grads)?;
        grads.add(W, || dy.conv2d_dw(&spec, &x, w.shape()))?;
        grads.add(X, || dy.conv2d_dx(&spec, x.shape(), &w))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ops::Padding;

    use super::*;
    use crate::ops::testing::{check, off_grid, quarters};

    prop_compose! {
        /// Paddings that differ by side, up to beyond the kernel: some windows see nothing but zeros.
        fn paddings()(top in 0usize..4, bottom in 0usize..4, left in 0usize..4, right in 0usize..4) -> Padding {
            Padding { top, bottom, left, right }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn gradients(
            n in 1usize..3,
            room in [0usize..6, 0usize..6],
            kernel in [1usize..4, 1usize..4],
            stride in [1usize..4, 1usize..4],
            channels in [1usize..3, 1usize..3],
            groups in 1usize..4,
            padding in paddings(),
            relu: bool,
            bias: bool,
            seed: u64,
        ) {
            let spec = Conv2d { stride, padding, groups };
            let stages: &[Stage] = if relu { &[Stage::Relu] } else { &[] };
            let [inner, out] = channels;
            let x = quarters(&[n, kernel[0] + room[0], kernel[1] + room[1], inner * groups], seed);
            let w = quarters(&[out * groups, kernel[0], kernel[1], inner], seed.wrapping_add(1));
            // Without a bias off the grid, sums may be exactly on the kink of a ReLU.
            let b = off_grid(&[out * groups], seed.wrapping_add(2));
            if bias || relu {
                check(&[("x", x), ("w", w), ("b", b)], |tape, p| tape.conv2d(&p[0], &p[1], Some(&p[2]), &spec, stages))?;
            } else {
                check(&[("x", x), ("w", w)], |tape, p| tape.conv2d(&p[0], &p[1], None, &spec, stages))?;
            }
        }
    }

    #[test]
    fn the_first_layer_of_the_paper_in_small() {
        // The authors' code: 11 x 11 at stride 4, three zeros on the right and at the bottom only.
        let padding = Padding { bottom: 3, right: 3, ..Default::default() };
        let spec = Conv2d { stride: [4, 4], padding, groups: 1 };
        let parameters =
            [("x", quarters(&[1, 20, 20, 3], 1)), ("w", quarters(&[4, 11, 11, 3], 2)), ("b", off_grid(&[4], 3))];
        check(&parameters, |tape, p| tape.conv2d(&p[0], &p[1], Some(&p[2]), &spec, &[Stage::Relu])).unwrap();
    }
}
