//! Max and average pooling; windows may overlap (paper, section 3.4).

use tensor::ops::Pool2d;
use tensor::{Backend, IntTensor, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The input's shape, and the positions of the maxima of a max-pooling.
struct Saved<B: Backend> {
    spec: Pool2d,
    x_shape: Vec<usize>,
    positions: Option<IntTensor<B>>,
}

impl<B: Backend> Tape<B> {
    /// Pools `[n, h, w, c]` to `[n, oh, ow, c]`.
    pub fn pool(&mut self, x: &Var<B>, spec: &Pool2d) -> Result<Var<B>> {
        let (y, positions) = x.value().pool(spec)?;
        self.record("pool", &[x], y, || Saved { spec: *spec, x_shape: x.shape().to_vec(), positions })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.pool_dx(&self.spec, &self.x_shape, self.positions.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ops::{Padding, PoolKind, RoundMode};

    use super::*;
    use crate::ops::testing::{check, distinct};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn gradients(
            n in 1usize..3,
            c in 1usize..4,
            room in [0usize..6, 0usize..6],
            kernel in [1usize..5, 1usize..5],
            stride in [1usize..5, 1usize..5],
            pads in [0usize..4, 0usize..4, 0usize..4, 0usize..4],
            ceil: bool,
            seed: u64,
        ) {
            // Padding must be smaller than the kernel.
            let [top, bottom] = [pads[0], pads[1]].map(|p| p % kernel[0]);
            let [left, right] = [pads[2], pads[3]].map(|p| p % kernel[1]);
            let round_mode = if ceil { RoundMode::Ceil } else { RoundMode::Floor };
            let x = distinct(&[n, kernel[0] + room[0], kernel[1] + room[1], c], seed);
            for kind in [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding] {
                let spec = Pool2d { kind, kernel, stride, padding: Padding { top, bottom, left, right }, round_mode };
                check(&[("x", x.clone())], |tape, p| tape.pool(&p[0], &spec))?;
            }
        }
    }

    #[test]
    fn overlapping_windows_of_the_paper() {
        // 13 x 13 to 6 x 6: a value can be the maximum of four windows.
        let spec = Pool2d::new(PoolKind::Max, 3, 2);
        check(&[("x", distinct(&[2, 13, 13, 2], 1))], |tape, p| tape.pool(&p[0], &spec)).unwrap();
    }
}
