//! The mean squared error: the loss of regression.

use tensor::{Backend, Tensor};

use crate::tape::{Backward, InputGrads, Tape, Var};
use crate::{Error, Result};

/// x minus the target.
struct Saved<B: Backend> {
    difference: Tensor<B>,
}

impl<B: Backend> Tape<B> {
    /// The mean over all values of (x - target)^2: `[1]`. Both have one shape: a target of another would be repeated
    /// unnoticed.
    ///
    /// ```
    /// use alexnet_layers::{Tape, Var};
    /// use alexnet_layers::tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f64>::new(1)?;
    /// let mut tape = Tape::new();
    /// let x = tape.parameter(Tensor::from_slice(&cpu, &[2], &[1.0, 5.0])?);
    /// let target = Var::constant(Tensor::from_slice(&cpu, &[2], &[2.0, 2.0])?);
    /// let loss = tape.mean_squared_error(&x, &target)?;
    /// assert_eq!(loss.value().scalar()?, 5.0);
    /// assert_eq!(tape.backward(&loss)?.get(&x).unwrap().to_vec()?, [-1.0, 3.0]);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    pub fn mean_squared_error(&mut self, x: &Var<B>, target: &Var<B>) -> Result<Var<B>> {
        const OP: &str = "mean_squared_error";
        if x.shape() != target.shape() {
            let what = format!("values of shape {:?} and targets of shape {:?} differ", x.shape(), target.shape());
            return Err(Error::tape(OP, what));
        }
        let difference = x.value().subtract(target.value())?;
        let loss = difference.square()?.mean()?;
        self.record(OP, &[x, target], loss, || Saved { difference })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    /// dx = 2 (x - target) dloss / n, and the opposite for the target.
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let factor = 2.0 * grads.factor(&dy)? / self.difference.len().max(1) as f64;
        grads.add(0, || self.difference.scale(factor))?;
        grads.add(1, || self.difference.scale(-factor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gradient_check::{Device, GradientCheck};
    use crate::ops::testing::{TOLERANCE, check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn gradients(shape in prop::collection::vec(1usize..5, 0..4), seed: u64) {
            let both = [("x", normal(&shape, seed)), ("target", normal(&shape, seed.wrapping_add(1)))];
            // As a term of a larger loss, and as the loss itself, whose own gradient is known to be 1.
            check(&both, |tape, p| tape.mean_squared_error(&p[0], &p[1]))?;
            let report = GradientCheck::default().run(&both, |tape, p| tape.mean_squared_error(&p[0], &p[1]));
            report.and_then(|report| report.within(TOLERANCE)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
    }

    /// A column and a row would broadcast to a matrix.
    #[test]
    fn a_target_of_another_shape_is_refused() {
        let device = Device::new(1).unwrap();
        let [x, target] = [[3, 1], [1, 3]].map(|shape| Var::constant(Tensor::zeros(&device, &shape).unwrap()));
        let error = Tape::new().mean_squared_error(&x, &target).unwrap_err().to_string();
        assert!(error.contains("[3, 1]") && error.contains("[1, 3]"), "{error}");
    }
}
