//! Elementwise operations on two tensors, and scaling.

use super::layout::{Layout, broadcast_shape, broadcast_strides};
use crate::{Alloc, Backend, Handle, Operation, Result, Tensor};

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BinaryOperator {
    /// a + b.
    Add,
    /// a - b.
    Subtract,
    /// a b.
    Multiply,
    /// a / b.
    Divide,
    /// The smaller of a and b; NaN if one is NaN.
    Minimum,
    /// The larger of a and b; NaN if one is NaN.
    Maximum,
    /// 1 where a < b, else 0, also where one is NaN.
    Less,
}

impl BinaryOperator {
    /// The name in messages: that of the method of [`Tensor`].
    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Less => "less",
        }
    }
}

/// Elementwise `a operator b` of one shape. Operands: a, b. Output: the result.
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

/// Elementwise `a operator b` of tensors that are repeated along some axes. Operands: a, b. Output: the result.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastBinary {
    /// The operator.
    pub operator: BinaryOperator,
    /// The indices in a and b of each value of the result. The strides of the innermost axis are 0 or 1.
    pub layout: Layout,
}

impl Operation for BroadcastBinary {
    type In<'a, F: Handle, I: Handle> = [&'a F; 2];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "broadcast binary"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like_widest(of, self.layout.len())?])
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

/// The operands of elementwise operations broadcast, as in NumPy: axes are aligned at the last one, and an axis of length
/// 1, or one that is not there, is repeated. Two tensors whose axes differ otherwise are an
/// [`Error::Shape`](crate::Error::Shape). Operands of one shape are the fastest.
///
/// ```
/// # use alexnet_tensor::{Cpu, Tensor};
/// let cpu = Cpu::<f32>::new(1)?;
/// let x = Tensor::from_slice(&cpu, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let columns = Tensor::from_slice(&cpu, &[3], &[10.0, 20.0, 30.0])?;
/// assert_eq!(x.add(&columns)?.to_vec()?, [11.0, 22.0, 33.0, 14.0, 25.0, 36.0]);
/// let rows = Tensor::from_slice(&cpu, &[2, 1], &[1.0, 2.0])?;
/// assert_eq!(x.divide(&rows)?.to_vec()?, [1.0, 2.0, 3.0, 2.0, 2.5, 3.0]);
/// assert!(x.subtract(&Tensor::zeros(&cpu, &[2])?).is_err());
/// # Ok::<(), alexnet_tensor::Error>(())
/// ```
impl<B: Backend> Tensor<B> {
    /// self + other, with broadcasting.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Add, other)
    }

    /// self - other, with broadcasting.
    pub fn subtract(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Subtract, other)
    }

    /// self * other, elementwise, with broadcasting.
    pub fn multiply(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Multiply, other)
    }

    /// self / other, elementwise, with broadcasting. Division by 0 gives an infinity or NaN.
    pub fn divide(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Divide, other)
    }

    /// The smaller of self and other, elementwise, with broadcasting; NaN where one is NaN.
    pub fn minimum(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Minimum, other)
    }

    /// The larger of self and other, elementwise, with broadcasting; NaN where one is NaN.
    pub fn maximum(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Maximum, other)
    }

    /// 1 where self < other, else 0, also where one is NaN: a mask. With broadcasting.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[3], &[-1.0, 0.5, 2.0])?;
    /// let half = Tensor::full(x.device(), &[1], 0.5)?;
    /// assert_eq!(x.less(&half)?.to_vec()?, [1.0, 0.0, 0.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn less(&self, other: &Self) -> Result<Self> {
        self.binary(BinaryOperator::Less, other)
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

    /// self += factor * other, of one shape.
    pub fn add_scaled(&mut self, factor: f64, other: &Self) -> Result<()> {
        self.same_shape("add_scaled", other)?;
        let device = self.device().clone();
        let op = AddScaled { len: self.len(), factor };
        device.run(&op, (&mut self.data, [&other.data]))?;
        Ok(())
    }

    fn binary(&self, operator: BinaryOperator, other: &Self) -> Result<Self> {
        if self.shape() == other.shape() {
            let [y] = self.device().run(&Binary { operator, len: self.len() }, [&self.data, &other.data])?;
            return Ok(self.with_data(y));
        }
        let op = operator.name();
        let shape = broadcast_shape(op, self.shape(), other.shape())?;
        let a = broadcast_strides(op, self.shape(), &shape)?;
        let b = broadcast_strides(op, other.shape(), &shape)?;
        let layout = Layout::new(&shape, [&a, &b], [0, 0]);
        let [y] = self.device().run(&BroadcastBinary { operator, layout }, [&self.data, &other.data])?;
        Ok(Self::from_parts(self.device().clone(), shape, y))
    }
}
