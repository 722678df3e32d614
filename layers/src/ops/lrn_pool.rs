//! Local response normalisation and the max-pooling of its output in one (paper, sections 3.3 and 3.4).

use tensor::ops::lrn_pool;
use tensor::ops::{Lrn, Pool2d};
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

/// The input, the positions of the maxima and perhaps the base, but not the normalised maps.
struct Saved<B: Backend> {
    lrn: Lrn,
    pool: Pool2d,
    x: Tensor<B>,
    lrn_pool: lrn_pool::Saved<B>,
}

impl<B: Backend> Tape<B> {
    /// [`lrn`](Self::lrn), then [`pool`](Self::pool) of maxima: the same values for less memory and, on a GPU, one
    /// launch.
    pub fn lrn_max_pool(&mut self, x: &Var<B>, lrn: &Lrn, pool: &Pool2d) -> Result<Var<B>> {
        let (y, lrn_pool) = x.value().lrn_max_pool(lrn, pool)?;
        self.record("lrn and max-pool", &[x], y, || Saved { lrn: *lrn, pool: *pool, x: x.value().clone(), lrn_pool })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        sink.add(0, || dy.lrn_max_pool_dx(&self.lrn, &self.pool, &self.x, &self.lrn_pool))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ops::{Edge, Padding, PoolKind, Region};

    use super::*;
    use crate::ops::testing::{check, distinct};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn gradients(
            c in 1usize..6,
            room in [0usize..5, 0usize..5],
            kernel in 1usize..4,
            stride in 1usize..4,
            pads in [0usize..3, 0usize..3],
            size in 1usize..7,
            within: bool,
            ceil: bool,
            seed: u64,
        ) {
            let [top, left] = pads.map(|p| p % kernel);
            let pool = Pool2d {
                padding: Padding { top, left, ..Padding::default() },
                edge: if ceil { Edge::Ceil } else { Edge::Floor },
                ..Pool2d::new(PoolKind::Max, kernel, stride)
            };
            // So weak that values keep their order, and their distance from ties.
            let region = if within { Region::WithinMap } else { Region::AcrossChannels };
            let lrn = Lrn { size, alpha: 1e-5, region, ..Lrn::paper() };
            let x = distinct(&[2, kernel + room[0], kernel + room[1], c], seed);
            check(&[("x", x)], |tape, p| tape.lrn_max_pool(&p[0], &lrn, &pool))?;
        }
    }

    /// Where the normalisation bites, against the two operations.
    #[test]
    fn two_operations_give_the_same_bits() {
        let lrn = Lrn { alpha: 0.1, ..Lrn::paper() };
        let pool = Pool2d::new(PoolKind::Max, 3, 2);
        let device = tensor::Cpu::<f32>::new(1).unwrap();
        let x: Vec<f32> = distinct(&[2, 13, 11, 16], 1).iter().map(|&v| v as f32 / 100.0).collect();
        let run = |fused: bool| {
            let mut tape = Tape::new();
            let x = tape.parameter(Tensor::from_slice(&device, &[2, 13, 11, 16], &x).unwrap());
            let y = if fused {
                tape.lrn_max_pool(&x, &lrn, &pool).unwrap()
            } else {
                let normal = tape.lrn(&x, &lrn).unwrap();
                tape.pool(&normal, &pool).unwrap()
            };
            let square = tape.multiply(&y, &y).unwrap();
            let loss = tape.sum(&square).unwrap();
            [y.into_value(), tape.backward(&loss).unwrap().take(&x).unwrap()].map(|t| t.to_vec().unwrap())
        };
        assert_eq!(run(true), run(false));
    }
}
