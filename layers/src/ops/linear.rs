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
        let bias = b.map(Var::value);
        let (y, done) = match stages {
            [Stage::Relu, Stage::Dropout(spec, stream), ..] => {
                (x.value().linear_relu_dropout(w.value(), bias, spec, *stream)?, 2)
            }
            [Stage::Relu, ..] => (x.value().linear(w.value(), bias, true)?, 1),
            _ => (x.value().linear(w.value(), bias, false)?, 0),
        };
        let (y, epilogue) = Epilogue::forward(y, stages, done)?;
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
    use tensor::ops::{Dropout, DropoutScale};
    use tensor::random::Stream;

    use super::*;
    use crate::ops::testing::{check, draw, off_grid, quarters};

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

        /// One row, a few, and enough that the product is computed in another order; lengths that do not fill a vector.
        #[test]
        fn a_relu_and_a_dropout_have_the_bits_of_their_own_operations(
            n in prop::sample::select(vec![1usize, 2, 17, 513]),
            out in prop::sample::select(vec![1usize, 5, 64]),
            p in 0.0f64..0.9,
            at_test: bool,
            bias: bool,
            seed: u64,
        ) {
            let scale = if at_test { DropoutScale::AtTest } else { DropoutScale::InTraining };
            let spec = Dropout { p, scale };
            let stream = Stream::new(seed, 3, 5);
            let values = [draw(&[n, 7], seed), draw(&[out, 7], seed ^ 1), draw(&[out], seed ^ 2)];
            let run = |fused: bool| -> Result<_> {
                let mut tape = Tape::new();
                let [x, w, b] = values.clone().map(|value| tape.parameter(value));
                let b = Some(&b).filter(|_| bias);
                let y = if fused {
                    tape.linear(&x, &w, b, &[Stage::Relu, Stage::Dropout(spec, stream)])?
                } else {
                    let y = tape.linear(&x, &w, b, &[Stage::Relu])?;
                    tape.dropout(&y, &spec, stream)?
                };
                let weights = Var::constant(draw(y.shape(), seed ^ 3));
                let product = tape.multiply(&y, &weights)?;
                let loss = tape.sum(&product)?;
                let mut gradients = tape.backward(&loss)?;
                let mut results = vec![y.into_value()];
                results.extend([Some(&x), Some(&w), b].into_iter().flatten().map(|var| gradients.take(var).unwrap()));
                let bits = |t: Tensor<_>| t.to_vec().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
                Ok(results.into_iter().map(bits).collect::<Vec<_>>())
            };
            prop_assert_eq!(run(true).unwrap(), run(false).unwrap());
        }
    }
}
