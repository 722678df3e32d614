//! Convolution, ReLU and max-pooling as one operation, which keeps nothing of the maps between.

use tensor::ops::{Conv2d, Pool2d};
use tensor::{Backend, Ints, Tensor};

use super::undo_relu_and_bias;
use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

const X: usize = 0;
const W: usize = 1;
const BIAS: usize = 2;

/// The ReLU let through what it gave to the pooling where the maximum is above 0, so its maps, the largest of a network,
/// are not needed: the pooled ones are enough, and are kept by the layer that follows anyway.
struct Saved<B: Backend> {
    conv: Conv2d,
    pool: Pool2d,
    x: Tensor<B>,
    w: Tensor<B>,
    map: Vec<usize>,
    y: Tensor<B>,
    positions: Option<Ints<B>>,
}

impl<B: Backend> Tape<B> {
    /// Convolves `x` `[n, h, w, c]` with `w` `[out, kh, kw, c / groups]`, adds `b` `[out]`, sets what is below 0 to 0
    /// whatever `conv.relu` says, and takes the maxima of windows. The same bits as the operations one by one, but for the
    /// gradient of `b`, which is summed in another order.
    pub fn conv2d_relu_max_pool(
        &mut self,
        x: &Var<B>,
        w: &Var<B>,
        b: Option<&Var<B>>,
        conv: &Conv2d,
        pool: &Pool2d,
    ) -> Result<Var<B>> {
        let conv = Conv2d { relu: true, ..*conv };
        let map = x.value().conv2d(&conv, w.value(), b.map(Var::value))?;
        let (y, positions) = map.pool(pool)?;
        let inputs: Vec<&Var<B>> = [x, w].into_iter().chain(b).collect();
        self.record("convolution and max-pool", &inputs, y.clone(), || Saved {
            conv,
            pool: *pool,
            x: x.value().clone(),
            w: w.value().clone(),
            map: map.shape().to_vec(),
            y,
            positions,
        })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        let Saved { conv, pool, x, w, map, y, positions } = *self;
        // Each gradient goes to one place of the maps: their sum is that of the pooled ones'.
        let dy = undo_relu_and_bias(dy, Some(y), BIAS, sink)?;
        let dmap = dy.pool_dx(&pool, &map, positions.as_ref())?;
        drop((dy, positions));
        sink.add(W, || dmap.conv2d_dw(&conv, &x, w.shape()))?;
        sink.add(X, || dmap.conv2d_dx(&conv, x.shape(), &w))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ops::{Edge, Padding, PoolKind};

    use super::*;
    use crate::ops::testing::{check, draw, off_grid, quarters};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Also where all of a window is below 0, and where a maximum belongs to several windows.
        #[test]
        fn three_operations_give_the_same(
            sizes in [1usize..4, 3usize..10, 3usize..10, 1usize..5, 1usize..20],
            kernel in 1usize..4,
            stride in 1usize..4,
            ceil: bool,
            bias: bool,
            seed: u64,
        ) {
            let [n, h, width, c, out] = sizes;
            let conv = Conv2d { padding: Padding::all(1), relu: true, ..Conv2d::default() };
            let edge = if ceil { Edge::Ceil } else { Edge::Floor };
            let pool = Pool2d { edge, ..Pool2d::new(PoolKind::Max, kernel, stride) };
            let values = [draw(&[n, h, width, c], seed), draw(&[out, 3, 3, c], seed ^ 1), draw(&[out], seed ^ 2)];
            let run = |fused: bool| {
                let mut tape = Tape::new();
                let [x, w, b] = values.clone().map(|value| tape.parameter(value));
                let b = Some(&b).filter(|_| bias);
                let y = if fused {
                    tape.conv2d_relu_max_pool(&x, &w, b, &conv, &pool).unwrap()
                } else {
                    let map = tape.conv2d(&x, &w, b, &conv).unwrap();
                    tape.pool(&map, &pool).unwrap()
                };
                // Gradients of both signs.
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
            for (got, expected) in of_bias.iter().zip(&expected) {
                prop_assert!((got - expected).abs() <= 1e-6 * (n * h * width) as f32, "{got} for {expected}");
            }
        }
    }

    #[test]
    fn gradients() {
        // Maxima of sums of quarters can tie: a pooling of whole windows of one value each has none.
        let pool = Pool2d::new(PoolKind::Max, 1, 2);
        let conv = Conv2d { stride: [2, 1], ..Conv2d::default() };
        let parameters =
            [("x", quarters(&[2, 9, 7, 2], 1)), ("w", quarters(&[3, 3, 2, 2], 2)), ("b", off_grid(&[3], 3))];
        check(&parameters, |tape, p| tape.conv2d_relu_max_pool(&p[0], &p[1], Some(&p[2]), &conv, &pool)).unwrap();
        check(&parameters[..2], |tape, p| {
            let b =
                Var::constant(Tensor::from_array(&crate::gradient_check::Device::new(1)?, off_grid(&[3], 3).view())?);
            tape.conv2d_relu_max_pool(&p[0], &p[1], Some(&b), &conv, &pool)
        })
        .unwrap();
    }
}
