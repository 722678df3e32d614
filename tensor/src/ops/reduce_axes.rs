//! Sums, means, maxima and minima over axes.

use std::ops::Range;

use super::layout::broadcast_strides;
use crate::tensor::element_count;
use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// How the values along an axis become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceOperator {
    /// Their sum, in an order that follows from the lengths alone.
    Sum,
    /// The largest; NaN if one is NaN.
    Max,
    /// The smallest; NaN if one is NaN.
    Min,
}

/// `[outer, len, inner]` to `[outer, inner]`. A maximum or minimum needs a `len` of at least 1. Operand: x. Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReduceAxis {
    /// The operator.
    pub operator: ReduceOperator,
    /// The product of the axes before.
    pub outer: usize,
    /// The length of the axis.
    pub len: usize,
    /// The product of the axes after.
    pub inner: usize,
}

impl Operation for ReduceAxis {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        match self.operator {
            ReduceOperator::Sum => "sum axis",
            ReduceOperator::Max => "max axis",
            ReduceOperator::Min => "min axis",
        }
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let len = self.outer * self.inner;
        Ok([if self.operator == ReduceOperator::Sum { new.weights(len)? } else { new.like(of[0], len)? }])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The gradient of a maximum or minimum over an axis: dy at the first value along the axis that equals y, 0 elsewhere.
/// Operands: dy `[outer, inner]`, x `[outer, len, inner]`, y `[outer, inner]`. Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExtremumBackward {
    /// The product of the axes before.
    pub outer: usize,
    /// The length of the axis.
    pub len: usize,
    /// The product of the axes after.
    pub inner: usize,
}

impl Operation for ExtremumBackward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 3];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "extremum dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.outer * self.len * self.inner)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// Axes are listed in any order, each once. With `keep_axes`, the result has length 1 along them, so that it broadcasts
/// with the input; without, it lacks them. No axes leave each value as it is.
///
/// ```
/// # use alexnet_tensor::{Cpu, Tensor};
/// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[2, 3], &[1.0, 2.0, 6.0, 4.0, 5.0, 0.0])?;
/// assert_eq!(x.sum_axes(&[0], false)?.to_vec()?, [5.0, 7.0, 6.0]);
/// assert_eq!(x.max_axes(&[0, 1], false)?.scalar()?, 6.0);
/// let centred = x.subtract(&x.mean_axes(&[1], true)?)?;
/// assert_eq!(centred.to_vec()?, [-2.0, -1.0, 3.0, 1.0, 2.0, -3.0]);
/// # Ok::<(), alexnet_tensor::Error>(())
/// ```
impl<B: Backend> Tensor<B> {
    /// The sum over `axes`; 0 over axes without values.
    ///
    /// # Errors
    /// [`Error::Argument`] for an axis that is listed twice or that the tensor does not have.
    pub fn sum_axes(&self, axes: &[usize], keep_axes: bool) -> Result<Self> {
        self.reduce_axes("sum_axes", ReduceOperator::Sum, axes, keep_axes)
    }

    /// The mean over `axes`; 0 over axes without values, as for [`mean`](Self::mean).
    ///
    /// # Errors
    /// Those of [`sum_axes`](Self::sum_axes).
    pub fn mean_axes(&self, axes: &[usize], keep_axes: bool) -> Result<Self> {
        let sum = self.reduce_axes("mean_axes", ReduceOperator::Sum, axes, keep_axes)?;
        let count = product(axes.iter().map(|&axis| self.shape()[axis]));
        if count == 1 { Ok(sum) } else { sum.scale(1.0 / count.max(1) as f64) }
    }

    /// The largest value over `axes`; NaN where there is one.
    ///
    /// # Errors
    /// Those of [`sum_axes`](Self::sum_axes); [`Error::Shape`] for axes without values.
    pub fn max_axes(&self, axes: &[usize], keep_axes: bool) -> Result<Self> {
        self.reduce_axes("max_axes", ReduceOperator::Max, axes, keep_axes)
    }

    /// The smallest value over `axes`; NaN where there is one.
    ///
    /// # Errors
    /// Those of [`max_axes`](Self::max_axes).
    pub fn min_axes(&self, axes: &[usize], keep_axes: bool) -> Result<Self> {
        self.reduce_axes("min_axes", ReduceOperator::Min, axes, keep_axes)
    }

    /// The gradient of [`max_axes`](Self::max_axes) for its input `x`; `self` is dy, with or without the axes. Of equal
    /// maxima the first in row-major order gets dy, as in max-pooling.
    ///
    /// # Errors
    /// [`Error::Shape`] unless dy has the shape of the result; those of [`max_axes`](Self::max_axes).
    pub fn max_axes_dx(&self, x: &Self, axes: &[usize]) -> Result<Self> {
        self.extremum_dx("max_axes backward", ReduceOperator::Max, x, axes)
    }

    /// The gradient of [`min_axes`](Self::min_axes), as that of [`max_axes`](Self::max_axes_dx).
    ///
    /// # Errors
    /// Those of [`max_axes_dx`](Self::max_axes_dx).
    pub fn min_axes_dx(&self, x: &Self, axes: &[usize]) -> Result<Self> {
        self.extremum_dx("min_axes backward", ReduceOperator::Min, x, axes)
    }

    /// The gradient of an operand that was [repeated](Self::broadcast_to) from `x_shape`; `self`, dy, is summed over the
    /// axes along which it was.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `x_shape` broadcasts to that of dy.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let dy = Tensor::full(&Cpu::<f32>::new(1)?, &[8, 5, 3], 1.0)?;
    /// assert_eq!(dy.broadcast_dx(&[5, 1])?.to_vec()?, [24.0; 5]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn broadcast_dx(&self, x_shape: &[usize]) -> Result<Self> {
        const OP: &str = "broadcast backward";
        if self.shape() == x_shape {
            return Ok(self.clone());
        }
        broadcast_strides(OP, x_shape, self.shape())?;
        let leading = self.shape().len() - x_shape.len();
        let is_repeated = |axis: &usize| axis.checked_sub(leading).is_none_or(|i| x_shape[i] == 1);
        let axes: Vec<usize> = (0..self.shape().len()).filter(is_repeated).collect();
        self.reduce_axes(OP, ReduceOperator::Sum, &axes, true)?.reshape(x_shape)
    }

    /// The logarithm of the softmax along the last axis: x - max - log sum e^(x - max).
    ///
    /// # Errors
    /// [`Error::Shape`] without a last axis of at least 1.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let x = Tensor::full(&Cpu::<f64>::new(1)?, &[2, 4], 7.0)?;
    /// assert!(x.log_softmax()?.to_vec()?.iter().all(|&y| y == -(4f64.ln())));
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn log_softmax(&self) -> Result<Self> {
        self.last_axis()?;
        let last = [self.shape().len() - 1];
        let shifted = self.subtract(&self.max_axes(&last, true)?)?;
        shifted.subtract(&shifted.exp()?.sum_axes(&last, true)?.log()?)
    }

    /// The gradient of [`log_softmax`](Self::log_softmax) for its input: dy - e^y sum dy. `self` is dy, `y` the output.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have one shape.
    pub fn log_softmax_dx(&self, y: &Self) -> Result<Self> {
        self.same_shape("log_softmax backward", y)?;
        self.last_axis()?;
        let sums = self.sum_axes(&[self.shape().len() - 1], true)?;
        self.subtract(&y.exp()?.multiply(&sums)?)
    }

    fn reduce_axes(&self, op: &'static str, operator: ReduceOperator, axes: &[usize], keep: bool) -> Result<Self> {
        let reduced = Reduced::new(op, operator, self.shape(), axes)?;
        let mut y = self.clone();
        for run in reduced.runs.iter().rev() {
            y = y.reduce_run(operator, run)?;
        }
        if keep { Ok(y) } else { y.reshape(&reduced.without_axes()) }
    }

    /// Reduces neighbouring axes to axes of length 1.
    fn reduce_run(&self, operator: ReduceOperator, run: &Range<usize>) -> Result<Self> {
        let [outer, len, inner] = around(self.shape(), run);
        let [y] = self.device().run(&ReduceAxis { operator, outer, len, inner }, [&self.data])?;
        let mut shape = self.shape().to_vec();
        shape[run.clone()].fill(1);
        Ok(Self::from_parts(self.device().clone(), shape, y))
    }

    fn extremum_dx(&self, op: &'static str, operator: ReduceOperator, x: &Self, axes: &[usize]) -> Result<Self> {
        let reduced = Reduced::new(op, operator, x.shape(), axes)?;
        if self.shape() != reduced.shape && self.shape() != reduced.without_axes() {
            return Err(Error::shape(op, format!("a gradient {:?}", reduced.without_axes()), self.shape()));
        }
        // The values before and after each run of axes, in the order in which the runs were reduced.
        let mut values = vec![x.clone()];
        for run in reduced.runs.iter().rev() {
            values.push(values[values.len() - 1].reduce_run(operator, run)?);
        }
        let mut gradient = self.clone().reshape(&reduced.shape)?;
        for (run, pair) in reduced.runs.iter().zip(values.windows(2).rev()) {
            let [outer, len, inner] = around(pair[0].shape(), run);
            let op = ExtremumBackward { outer, len, inner };
            let [dx] = self.device().run(&op, [&gradient.data, &pair[0].data, &pair[1].data])?;
            gradient = pair[0].with_data(dx);
        }
        Ok(gradient)
    }
}

/// The axes of a reduction, checked.
struct Reduced {
    /// Neighbouring axes that are reduced together, the first ones first. Axes of length 1 are left out.
    runs: Vec<Range<usize>>,
    /// The shape of the result with its axes kept.
    shape: Vec<usize>,
    is_reduced: Vec<bool>,
}

impl Reduced {
    fn new(op: &'static str, operator: ReduceOperator, shape: &[usize], axes: &[usize]) -> Result<Self> {
        let mut is_reduced = vec![false; shape.len()];
        for &axis in axes {
            match is_reduced.get_mut(axis) {
                Some(reduced) if !*reduced => *reduced = true,
                Some(_) => return Err(Error::argument(op, format!("axis {axis} is listed twice"))),
                None => return Err(Error::argument(op, format!("there is no axis {axis} in shape {shape:?}"))),
            }
        }
        if operator != ReduceOperator::Sum && axes.iter().any(|&axis| shape[axis] == 0) {
            return Err(Error::shape(op, format!("at least 1 value along the axes {axes:?}"), shape));
        }
        let mut runs: Vec<Range<usize>> = Vec::new();
        for axis in (0..shape.len()).filter(|&axis| is_reduced[axis] && shape[axis] != 1) {
            match runs.last_mut().filter(|run| run.end == axis) {
                Some(run) => run.end += 1,
                None => runs.push(axis..axis + 1),
            }
        }
        let kept: Vec<usize> =
            shape.iter().zip(&is_reduced).map(|(&len, &reduced)| if reduced { 1 } else { len }).collect();
        element_count(op, &kept)?;
        Ok(Self { runs, shape: kept, is_reduced })
    }

    /// The shape of the result without its axes.
    fn without_axes(&self) -> Vec<usize> {
        self.shape.iter().zip(&self.is_reduced).filter(|&(_, &reduced)| !reduced).map(|(&len, _)| len).collect()
    }
}

/// The products of the axes before, in and after a run.
fn around(shape: &[usize], run: &Range<usize>) -> [usize; 3] {
    [&shape[..run.start], &shape[run.clone()], &shape[run.end..]].map(|part| product(part.iter().copied()))
}

/// Beside an axis of length 0, others may be of any length.
fn product(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.fold(1, usize::saturating_mul)
}
