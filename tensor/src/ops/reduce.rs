//! Sums and maxima.

use crate::{Alloc, Backend, Error, Handle, IntTensor, Operation, Result, Tensor};

/// The sum of all values, in an order that does not depend on the number of threads. Operand: x. Output: one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    /// Number of values.
    pub len: usize,
}

impl Operation for Sum {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "sum"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.weights(1)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The sum of the rows, in an order that does not depend on the number of threads. Operand: x. Output: `[channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SumRows {
    /// Number of rows.
    pub rows: usize,
    /// Values of a row.
    pub channels: usize,
}

impl Operation for SumRows {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "sum rows"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.weights(self.channels)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The maximum of each row and its index. Of equal values, the first counts; NaN is larger than any number. Operand: x.
/// Outputs: values, indices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxAndArgmax {
    /// Number of rows.
    pub rows: usize,
    /// Values of a row.
    pub channels: usize,
}

impl Operation for MaxAndArgmax {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = ([F; 1], [I; 1]);

    fn name(&self) -> &'static str {
        "max and argmax"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok(([new.like(of[0], self.rows)?], [new.ints(self.rows)?]))
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// Whether all values are finite. Operand: x. Output: 1 if so, else 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AllFinite {
    /// Number of values.
    pub len: usize,
}

impl Operation for AllFinite {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = ([F; 0], [I; 1]);

    fn name(&self) -> &'static str {
        "all finite"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok(([], [new.ints(1)?]))
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// The sum of all values: `[1]`.
    pub fn sum(&self) -> Result<Self> {
        let [sum] = self.device().run(&Sum { len: self.len() }, [&self.data])?;
        Ok(Self::from_parts(self.device().clone(), vec![1], sum))
    }

    /// The mean of all values: `[1]`.
    pub fn mean(&self) -> Result<Self> {
        self.sum()?.scale(1.0 / self.len().max(1) as f64)
    }

    /// The sum over all axes but the last: `[c]`. The gradient of a bias.
    pub fn sum_rows(&self) -> Result<Self> {
        let c = self.last_axis()?;
        let op = SumRows { rows: self.len() / c, channels: c };
        let [sums] = self.device().run(&op, [&self.data])?;
        Ok(Self::from_parts(self.device().clone(), vec![c], sums))
    }

    /// The sum over the first axis: `[a, b, c]` to `[b, c]`.
    pub fn sum_first(&self) -> Result<Self> {
        let Some(shape) = self.shape().get(1..).filter(|shape| !shape.is_empty()) else {
            return Err(Error::shape("sum_first", "at least 2 axes", self.shape()));
        };
        let shape = shape.to_vec();
        let c: usize = shape.iter().product();
        let op = SumRows { rows: self.shape()[0], channels: c };
        let [sums] = self.device().run(&op, [&self.data])?;
        Ok(Self::from_parts(self.device().clone(), shape, sums))
    }

    /// The maximum along the last axis and its index.
    pub fn max_and_argmax(&self) -> Result<(Self, IntTensor<B>)> {
        let c = self.last_axis()?;
        let rows = self.len() / c;
        let ([values], [indices]) = self.device().run(&MaxAndArgmax { rows, channels: c }, [&self.data])?;
        let shape = self.shape()[..self.shape().len() - 1].to_vec();
        let device = self.device().clone();
        Ok((Self::from_parts(device.clone(), shape, values), IntTensor::from_parts(device, rows, indices)))
    }

    /// Whether no value is NaN or infinite.
    pub fn all_finite(&self) -> Result<bool> {
        Ok(self.all_finite_flag()?.to_vec()?.first() == Some(&1))
    }

    /// Like [`all_finite`](Self::all_finite), but leaves the answer, 1 or 0, on the device.
    pub fn all_finite_flag(&self) -> Result<IntTensor<B>> {
        let (_, [flag]) = self.device().run(&AllFinite { len: self.len() }, [&self.data])?;
        Ok(IntTensor::from_parts(self.device().clone(), 1, flag))
    }

    pub(super) fn last_axis(&self) -> Result<usize> {
        let last = self.shape().last().copied().filter(|&c| c > 0);
        last.ok_or_else(|| Error::shape("reduce", "a last axis of at least 1", self.shape()))
    }
}
