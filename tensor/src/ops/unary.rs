//! Elementwise functions: powers, logarithm, absolute value and bounds.

use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnaryOperator {
    /// e^x.
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// The absolute value.
    Abs,
    /// x^2.
    Square,
    /// 1 / x.
    Reciprocal,
    /// The nearest value to x within bounds.
    Clamp,
}

impl UnaryOperator {
    /// Whether the derivative is computed from the output, else from the input.
    pub fn keeps_output(self) -> bool {
        matches!(self, Self::Exp | Self::Sqrt | Self::Reciprocal)
    }
}

/// y = f(x). NaN stays NaN. Operand: x. Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unary {
    /// The function.
    pub operator: UnaryOperator,
    /// The least and the greatest value of [`UnaryOperator::Clamp`]; the others have none.
    pub bounds: [f64; 2],
    /// Number of values.
    pub len: usize,
}

impl Operation for Unary {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "unary"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// dx = dy f'(x): dy y for e^x, dy / x for the logarithm, dy / (2 y) for the root, dy sign(x) for the absolute value,
/// 2 dy x for the square, -dy y^2 for the reciprocal, dy within the bounds and 0 outside for the clamp. Operands: dy, and y
/// or x ([`UnaryOperator::keeps_output`]). Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnaryBackward {
    /// The function.
    pub operator: UnaryOperator,
    /// The bounds of [`Unary`].
    pub bounds: [f64; 2],
    /// Number of values.
    pub len: usize,
}

impl Operation for UnaryBackward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 2];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "unary dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like_widest(of, self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The bounds of the functions that have none.
const UNBOUNDED: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

impl<B: Backend> Tensor<B> {
    /// e^x of each value x.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let x = Tensor::from_slice(&Cpu::<f64>::new(1)?, &[2], &[0.0, 1.0])?;
    /// assert_eq!(x.exp()?.to_vec()?, [1.0, std::f64::consts::E]);
    /// assert_eq!(x.exp()?.log()?.to_vec()?, [0.0, 1.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn exp(&self) -> Result<Self> {
        self.unary(UnaryOperator::Exp)
    }

    /// The natural logarithm of each value: minus infinity for 0, NaN below.
    pub fn log(&self) -> Result<Self> {
        self.unary(UnaryOperator::Log)
    }

    /// The square root of each value; NaN below 0.
    pub fn sqrt(&self) -> Result<Self> {
        self.unary(UnaryOperator::Sqrt)
    }

    /// The absolute value of each value.
    pub fn abs(&self) -> Result<Self> {
        self.unary(UnaryOperator::Abs)
    }

    /// The square of each value.
    pub fn square(&self) -> Result<Self> {
        self.unary(UnaryOperator::Square)
    }

    /// 1 / x of each value x.
    pub fn reciprocal(&self) -> Result<Self> {
        self.unary(UnaryOperator::Reciprocal)
    }

    /// Minus each value.
    pub fn negate(&self) -> Result<Self> {
        self.scale(-1.0)
    }

    /// Applies `operator`, which has no bounds, to each value. NaN stays NaN.
    ///
    /// # Errors
    /// [`Error::Argument`] for [`UnaryOperator::Clamp`], which is [`clamp`](Self::clamp).
    pub fn unary(&self, operator: UnaryOperator) -> Result<Self> {
        if operator == UnaryOperator::Clamp {
            return Err(Error::argument("unary", "a clamp needs bounds; call clamp"));
        }
        self.unary_within(operator, UNBOUNDED)
    }

    /// The gradient of [`unary`](Self::unary) for its input; `self` is dy, and `kept` the output of the operators that
    /// [keep it](UnaryOperator::keeps_output), else the input. At 0, the derivative of the absolute value is 0.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have one shape; [`Error::Argument`] for [`UnaryOperator::Clamp`].
    pub fn unary_dx(&self, operator: UnaryOperator, kept: &Self) -> Result<Self> {
        if operator == UnaryOperator::Clamp {
            return Err(Error::argument("unary backward", "a clamp needs bounds; call clamp_dx"));
        }
        self.unary_dx_within(operator, UNBOUNDED, kept)
    }

    /// Each value, but `low` for those below it and `high` for those above. NaN stays NaN.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `low <= high`.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[3], &[-1.0, 3.0, 9.0])?;
    /// assert_eq!(x.clamp(0.0, 6.0)?.to_vec()?, [0.0, 3.0, 6.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn clamp(&self, low: f64, high: f64) -> Result<Self> {
        self.unary_within(UnaryOperator::Clamp, bounds(low, high)?)
    }

    /// The gradient of [`clamp`](Self::clamp) for its input `x`; `self` is dy. It is dy from `low` to `high`, both
    /// included, and 0 outside.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have one shape; [`Error::Argument`] unless `low <= high`.
    pub fn clamp_dx(&self, low: f64, high: f64, x: &Self) -> Result<Self> {
        self.unary_dx_within(UnaryOperator::Clamp, bounds(low, high)?, x)
    }

    fn unary_within(&self, operator: UnaryOperator, bounds: [f64; 2]) -> Result<Self> {
        let [y] = self.device().run(&Unary { operator, bounds, len: self.len() }, [&self.data])?;
        Ok(self.with_data(y))
    }

    fn unary_dx_within(&self, operator: UnaryOperator, bounds: [f64; 2], kept: &Self) -> Result<Self> {
        self.same_shape("unary backward", kept)?;
        let [dx] = self.device().run(&UnaryBackward { operator, bounds, len: self.len() }, [&self.data, &kept.data])?;
        Ok(self.with_data(dx))
    }
}

fn bounds(low: f64, high: f64) -> Result<[f64; 2]> {
    // False for NaN too.
    if low <= high {
        return Ok([low, high]);
    }
    Err(Error::argument("clamp", format!("the bounds must be in order, got {low} and {high}")))
}
