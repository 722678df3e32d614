//! Elementwise sums, products and scaling.

use crate::{Alloc, Backend, Handle, Operation, Result, Tensor};

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOperator {
    /// a + b.
    Add,
    /// a - b.
    Subtract,
    /// a b.
    Multiply,
}

/// Elementwise `a operator b`. Operands: a, b. Output: the result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub operator: BinaryOperator,
    /// Number of values.
    pub len: usize,
}

impl Operation for Binary {
    type In<'a, F: Handle, I: Handle> = [&'a F; 2];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "binary"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like_widest(of, self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// y += factor * x. Operands: y, in place, and x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddScaled {
    /// Number of values.
    pub len: usize,
    /// The factor of x.
    pub factor: f64,
}

impl Operation for AddScaled {
    type In<'a, F: Handle, I: Handle> = (&'a mut F, [&'a F; 1]);
    type Out<F: Handle, I: Handle> = [F; 0];

    fn name(&self) -> &'static str {
        "add scaled"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, _: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        (&mut *operands.0, operands.1)
    }
}

/// factor * x + shift. Operand: x. Output: the result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MulAddScalar {
    /// Number of values.
    pub len: usize,
    /// The factor of x.
    pub factor: f64,
    /// The constant term.
    pub shift: f64,
}

impl Operation for MulAddScalar {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "mul add scalar"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// self + other.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Add, other)
    }

    /// self - other.
    pub fn subtract(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Subtract, other)
    }

    /// self * other, elementwise.
    pub fn multiply(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Multiply, other)
    }

    /// factor * self.
    pub fn scale(&self, factor: f64) -> Result<Self> {
        self.mul_add_scalar(factor, 0.0)
    }

    /// factor * self + shift.
    pub fn mul_add_scalar(&self, factor: f64, shift: f64) -> Result<Self> {
        let [y] = self.device().run(&MulAddScalar { len: self.len(), factor, shift }, [&self.data])?;
        Ok(self.with_data(y))
    }

    /// self += factor * other.
    pub fn add_scaled(&mut self, factor: f64, other: &Self) -> Result<()> {
        self.same_shape("add_scaled", other)?;
        let device = self.device().clone();
        let op = AddScaled { len: self.len(), factor };
        device.run(&op, (&mut self.data, [&other.data]))?;
        Ok(())
    }

    fn binary(&self, operator: BinaryOperator, other: &Self) -> Result<Self> {
        self.same_shape("elementwise", other)?;
        let [y] = self.device().run(&Binary { operator, len: self.len() }, [&self.data, &other.data])?;
        Ok(self.with_data(y))
    }
}
