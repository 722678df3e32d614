//! Convolution, ReLU, local response normalisation and max-pooling as one operation: the first two layers of the paper (sections
//! 3.1, 3.3 and 3.4). Backward goes from the pooled gradient to that before the ReLU and the bias in one pass.

use tensor::ops::lrn_pool;
use tensor::ops::{Conv2d, Lrn, Pool2d};
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

const X: usize = 0;
const W: usize = 1;
const BIAS: usize = 2;

/// Between the convolution and the output only the ReLU's maps are kept, the positions of the maxima, and perhaps the base of
/// the normalisation.
struct Saved<B: Backend> {
    conv: Conv2d,
    lrn: Lrn,
    pool: Pool2d,
    x: Tensor<B>,
    w: Tensor<B>,
    maps: Tensor<B>,
    lrn_pool: lrn_pool::Saved<B>,
}

impl<B: Backend> Tape<B> {
    /// Convolves `x` `[n, h, w, c]` with `w` `[out, kh, kw, c / groups]`, adds `b` `[out]`, sets what is below 0 to 0
    /// whatever `conv.relu` says, normalises and takes the maxima of windows. The same values as the operations one by one.
    pub fn conv2d_relu_lrn_max_pool(
        &mut self,
        x: &Var<B>,
        w: &Var<B>,
        b: Option<&Var<B>>,
        conv: &Conv2d,
        (lrn, pool): (&Lrn, &Pool2d),
    ) -> Result<Var<B>> {
        let conv = Conv2d { relu: true, ..*conv };
        let maps = x.value().conv2d(&conv, w.value(), b.map(Var::value))?;
        let (y, lrn_pool) = maps.lrn_max_pool(lrn, pool)?;
        let inputs: Vec<&Var<B>> = [x, w].into_iter().chain(b).collect();
        let x = x.value().clone();
        let w = w.value().clone();
        let saved = || Saved { conv, lrn: *lrn, pool: *pool, x, w, maps, lrn_pool };
        self.record("convolution, lrn and max-pool", &inputs, y, saved)
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        let Saved { conv, lrn, pool, x, w, maps, lrn_pool } = *self;
        let (dmaps, sums) = dy.lrn_max_pool_dx_through_relu(&lrn, &pool, &maps, &lrn_pool)?;
        drop((dy, maps, lrn_pool));
        sink.add(BIAS, || Ok(sums))?;
        sink.add(W, || dmaps.conv2d_dw(&conv, &x, w.shape()))?;
        sink.add(X, || dmaps.conv2d_dx(&conv, x.shape(), &w))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ops::{Padding, PoolKind};

    use super::*;
    use crate::ops::testing::{check, draw, off_grid, quarters};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Channels that are whole vectors and others; the gradient of the bias is summed in another order.
        #[test]
        fn four_operations_give_the_same(
            sizes in [1usize..3, 3usize..12, 3usize..12, 1usize..4],
            out in prop::sample::select(vec![3usize, 16, 20, 32]),
            kernel in 2usize..4,
            bias: bool,
            seed: u64,
        ) {
            let [n, h, width, c] = sizes;
            let conv = Conv2d { padding: Padding::all(1), relu: true, ..Conv2d::default() };
            let lrn = Lrn { alpha: 0.1, ..Lrn::paper() };
            let pool = Pool2d::new(PoolKind::Max, kernel, 2);
            let values = [draw(&[n, h, width, c], seed), draw(&[out, 3, 3, c], seed ^ 1), draw(&[out], seed ^ 2)];
            let run = |fused: bool| {
                let mut tape = Tape::new();
                let [x, w, b] = values.clone().map(|value| tape.parameter(value));
                let b = Some(&b).filter(|_| bias);
                let y = if fused {
                    tape.conv2d_relu_lrn_max_pool(&x, &w, b, &conv, (&lrn, &pool)).unwrap()
                } else {
                    let maps = tape.conv2d(&x, &w, b, &conv).unwrap();
                    let normal = tape.lrn(&maps, &lrn).unwrap();
                    tape.pool(&normal, &pool).unwrap()
                };
                let weights = Var::constant(draw(y.shape(), seed ^ 3));
                let product = tape.multiply(&y, &weights).unwrap();
                let loss = tape.sum(&product).unwrap();
                let mut gradients = tape.backward(&loss).unwrap();
                let of_bias = b.map(|b| gradients.take(b).unwrap().to_vec().unwrap()).unwrap_or_default();
                let others = [y.into_value(), gradients.take(&x).unwrap(), gradients.take(&w).unwrap()];
                (others.map(|t| t.to_vec().unwrap()), of_bias)
            };
            let (fused, of_bias) = run(true);
            let (apart, expected) = run(false);
            prop_assert_eq!(fused, apart);
            let scale = (n * h * width) as f32;
            for (got, expected) in of_bias.iter().zip(&expected) {
                prop_assert!((got - expected).abs() <= 1e-6 * scale, "{got} for {expected}");
            }
        }
    }

    #[test]
    fn gradients() {
        // So weak a normalisation that values keep their order; windows of one value each have no ties.
        let lrn = Lrn { alpha: 1e-3, ..Lrn::paper() };
        let pool = Pool2d::new(PoolKind::Max, 1, 2);
        let conv = Conv2d { stride: [2, 1], ..Conv2d::default() };
        let parameters =
            [("x", quarters(&[2, 9, 7, 2], 1)), ("w", quarters(&[3, 3, 2, 2], 2)), ("b", off_grid(&[3], 3))];
        check(&parameters, |tape, p| tape.conv2d_relu_lrn_max_pool(&p[0], &p[1], Some(&p[2]), &conv, (&lrn, &pool)))
            .unwrap();
    }
}
