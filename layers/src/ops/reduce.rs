//! Sum and mean of all values.

use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The factor of each value in the result.
struct Saved {
    x_shape: Vec<usize>,
    factor: f64,
}

impl<B: Backend> Tape<B> {
    /// The sum of all values: `[1]`.
    pub fn sum(&mut self, x: &Var<B>) -> Result<Var<B>> {
        let y = x.value().sum()?;
        self.record("sum", &[x], y, || Saved { x_shape: x.shape().to_vec(), factor: 1.0 })
    }

    /// The mean of all values: `[1]`.
    pub fn mean(&mut self, x: &Var<B>) -> Result<Var<B>> {
        let y = x.value().mean()?;
        let factor = 1.0 / x.value().len().max(1) as f64;
        self.record("mean", &[x], y, || Saved { x_shape: x.shape().to_vec(), factor })
    }
}

impl<B: Backend> Backward<B> for Saved {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let value = self.factor * grads.factor(&dy)?;
        grads.add(0, || Tensor::full(dy.device(), &self.x_shape, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::gradient_check::GradientCheck;
    use crate::ops::testing::{TOLERANCE, check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn gradients(shape in prop::collection::vec(1usize..5, 1..4), seed: u64) {
            let x = [("x", normal(&shape, seed))];
            // With a factor after it, and as the loss itself, whose gradient is known to be 1.
            check(&x, |tape, p| tape.sum(&p[0]))?;
            check(&x, |tape, p| tape.mean(&p[0]))?;
            let report = GradientCheck::default().run(&x, |tape, p| tape.mean(&p[0]));
            report.and_then(|report| report.within(TOLERANCE)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
    }
}
