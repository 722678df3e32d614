//! Elementwise functions: powers, logarithm, absolute value and bounds.

use tensor::ops::UnaryOperator;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The output of operators that [keep it](UnaryOperator::keeps_output), else the input.
struct Saved<B: Backend> {
    operator: UnaryOperator,
    kept: Tensor<B>,
}

/// The input.
struct SavedClamp<B: Backend> {
    low: f64,
    high: f64,
    x: Tensor<B>,
}

/// ```
/// use alexnet_layers::Tape;
/// use alexnet_layers::tensor::{Cpu, Tensor};
///
/// let mut tape = Tape::new();
/// let x = tape.parameter(Tensor::from_slice(&Cpu::<f64>::new(1)?, &[2], &[4.0, 0.25])?);
/// let root = tape.sqrt(&x)?;
/// let loss = tape.sum(&root)?;
/// assert_eq!(tape.backward(&loss)?.get(&x).unwrap().to_vec()?, [0.25, 1.0]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
impl<B: Backend> Tape<B> {
    /// e^x of each value.
    pub fn exp(&mut self, x: &Var<B>) -> Result<Var<B>> {
        self.unary("exp", x, UnaryOperator::Exp)
    }

    /// The natural logarithm of each value.
    pub fn log(&mut self, x: &Var<B>) -> Result<Var<B>> {
        self.unary("log", x, UnaryOperator::Log)
    }

    /// The square root of each value. Its gradient at 0 is infinite.
    pub fn sqrt(&mut self, x: &Var<B>) -> Result<Var<B>> {
        self.unary("sqrt", x, UnaryOperator::Sqrt)
    }

    /// The absolute value of each value. Its gradient at 0 is 0.
    pub fn abs(&mut self, x: &Var<B>) -> Result<Var<B>> {
        self.unary("abs", x, UnaryOperator::Abs)
    }

    /// The square of each value.
    pub fn square(&mut self, x: &Var<B>) -> Result<Var<B>> {
        self.unary("square", x, UnaryOperator::Square)
    }

    /// 1 / x of each value.
    pub fn reciprocal(&mut self, x: &Var<B>) -> Result<Var<B>> {
        self.unary("reciprocal", x, UnaryOperator::Reciprocal)
    }

    /// Minus each value.
    pub fn negate(&mut self, x: &Var<B>) -> Result<Var<B>> {
        self.scale(x, -1.0)
    }

    /// Each value, but `low` for those below it and `high` for those above. The gradient flows through values from `low` to
    /// `high`, both included.
    pub fn clamp(&mut self, x: &Var<B>, low: f64, high: f64) -> Result<Var<B>> {
        let y = x.value().clamp(low, high)?;
        self.record("clamp", &[x], y, || SavedClamp { low, high, x: x.value().clone() })
    }

    fn unary(&mut self, op: &'static str, x: &Var<B>, operator: UnaryOperator) -> Result<Var<B>> {
        let y = x.value().unary(operator)?;
        let kept = if operator.keeps_output() { y.clone() } else { x.value().clone() };
        self.record(op, &[x], y, || Saved { operator, kept })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.unary_dx(self.operator, &self.kept))
    }
}

impl<B: Backend> Backward<B> for SavedClamp<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.clamp_dx(self.low, self.high, &self.x))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ops::testing::{check, distinct, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn gradients(shape in prop::collection::vec(1usize..5, 0..4), seed: u64) {
            let x = [("x", normal(&shape, seed))];
            check(&x, |tape, p| tape.exp(&p[0]))?;
            check(&x, |tape, p| tape.square(&p[0]))?;
            check(&x, |tape, p| tape.negate(&p[0]))?;
            // No value is near 0.
            let apart = [("x", distinct(&shape, seed))];
            check(&apart, |tape, p| tape.abs(&p[0]))?;
            check(&apart, |tape, p| tape.reciprocal(&p[0]))?;
            // Nor near a bound: values are 0.03 more than tenths.
            check(&apart, |tape, p| tape.clamp(&p[0], -0.5, 0.3))?;
            let above_0 = [("x", normal(&shape, seed).mapv(|v| v.abs() + 0.1))];
            check(&above_0, |tape, p| tape.log(&p[0]))?;
            check(&above_0, |tape, p| tape.sqrt(&p[0]))?;
        }
    }
}
