//! Copies in another order: permuted axes, slices, concatenation and repetition.

use std::ops::Range;

use super::layout::{Layout, broadcast_strides, dense_strides};
use crate::tensor::element_count;
use crate::{Alloc, Backend, Error, Handle, Operands, Operation, Result, Tensor};

/// The values of x at the first indices of a layout, in order. Operand: x. Output: y.
#[derive(Clone, Debug, PartialEq)]
pub struct StridedCopy {
    /// The indices in x and y. Those in y are 0, 1, 2 and so on.
    pub layout: Layout,
}

impl Operation for StridedCopy {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "strided copy"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.layout.len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The part of an axis that a slice takes: `start`, `start + step` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisSlice {
    /// The first position.
    pub start: usize,
    /// The distance of two positions, at least 1.
    pub step: usize,
    /// The number of positions.
    pub len: usize,
}

/// The gradient of a slice: dy at the positions that the slice took, 0 elsewhere. Operand: dy. Output: dx.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceBackward {
    /// The shape of dx; at least one axis.
    pub shape: Vec<usize>,
    /// The slice of each axis.
    pub slices: Vec<AxisSlice>,
}

impl SliceBackward {
    /// The number of values of dx.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether dx has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last axis of dx and its slice.
    pub(crate) fn inner(&self) -> (usize, AxisSlice) {
        (self.shape[self.shape.len() - 1], self.slices[self.slices.len() - 1])
    }

    /// The index of the row of dy, its last axis, whose values are in row `row` of dx; `None` if the slice left it out.
    pub(crate) fn row_of_dy(&self, row: usize) -> Option<usize> {
        let mut rest = row;
        let mut stride = 1;
        let mut index = 0;
        for (len, slice) in self.shape.iter().zip(&self.slices).rev().skip(1) {
            let position = (rest % len).checked_sub(slice.start).filter(|offset| offset.is_multiple_of(slice.step))?;
            let taken = Some(position / slice.step).filter(|&taken| taken < slice.len)?;
            index += taken * stride;
            stride *= slice.len;
            rest /= len;
        }
        Some(index)
    }
}

impl Operation for SliceBackward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "slice dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<F, I> Operands<F, I> for Vec<&F> {
    fn floats(&self) -> Vec<&F> {
        self.clone()
    }
}

/// Several tensors one after the other along an axis. Operands: the tensors. Output: their concatenation.
#[derive(Clone, Debug, PartialEq)]
pub struct Concat {
    /// The product of the axes before the one of the concatenation.
    pub rows: usize,
    /// For each tensor, the number of values in one row: the axis of the concatenation and all after it.
    pub parts: Vec<usize>,
}

impl Operation for Concat {
    type In<'a, F: Handle, I: Handle> = Vec<&'a F>;
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "concat"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like_widest(of, self.rows * self.parts.iter().sum::<usize>())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        operands.clone()
    }
}

impl<B: Backend> Tensor<B> {
    /// The axes in another order, copied: axis i of the result is axis `axes[i]` of `self`.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `axes` names each axis once.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let images = Tensor::zeros(&Cpu::<f32>::new(1)?, &[8, 32, 48, 3])?; // NHWC
    /// assert_eq!(images.permute(&[0, 3, 1, 2])?.shape(), [8, 3, 32, 48]); // NCHW
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..self.shape().len()) {
            let what = format!("expected each axis of shape {:?} once, got {axes:?}", self.shape());
            return Err(Error::argument("permute", what));
        }
        let strides = dense_strides(self.shape());
        let shape: Vec<usize> = axes.iter().map(|&axis| self.shape()[axis]).collect();
        let strides: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
        self.strided_copy(shape, &strides, 0)
    }

    /// Two axes exchanged, copied.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// let y = x.transpose(0, 1)?;
    /// assert_eq!(y.shape(), [3, 2]);
    /// assert_eq!(y.to_vec()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn transpose(&self, a: usize, b: usize) -> Result<Self> {
        let rank = self.shape().len();
        if a.max(b) >= rank {
            let what = format!("there is no axis {} in shape {:?}", a.max(b), self.shape());
            return Err(Error::argument("transpose", what));
        }
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(a, b);
        self.permute(&axes)
    }

    /// A part of each axis, copied. Axes without a range, the last ones, are taken whole.
    ///
    /// # Errors
    /// Those of [`slice_with_steps`](Self::slice_with_steps).
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let images = Tensor::zeros(&Cpu::<f32>::new(1)?, &[8, 32, 32, 3])?;
    /// let crops = images.slice(&[0..8, 2..30, 2..30])?;
    /// assert_eq!(crops.shape(), [8, 28, 28, 3]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn slice(&self, ranges: &[Range<usize>]) -> Result<Self> {
        self.slice_with_steps(ranges, &vec![1; ranges.len()])
    }

    /// Every `steps[i]`-th position of `ranges[i]`, for each axis i that has a range, copied.
    ///
    /// # Errors
    /// [`Error::Argument`] for more ranges than axes, for ranges that do not lie within their axes, for a step of 0, and
    /// for another number of steps than of ranges.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[5], &[0.0, 1.0, 2.0, 3.0, 4.0])?;
    /// assert_eq!(x.slice_with_steps(&[0..5], &[2])?.to_vec()?, [0.0, 2.0, 4.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn slice_with_steps(&self, ranges: &[Range<usize>], steps: &[usize]) -> Result<Self> {
        let slices = axis_slices(self.shape(), ranges, steps)?;
        if takes_all(self.shape(), &slices) {
            return Ok(self.clone());
        }
        let strides = dense_strides(self.shape());
        let start = slices.iter().zip(&strides).map(|(slice, stride)| slice.start * stride).sum();
        let strides: Vec<usize> = slices.iter().zip(&strides).map(|(slice, stride)| slice.step * stride).collect();
        self.strided_copy(slices.iter().map(|slice| slice.len).collect(), &strides, start)
    }

    /// The gradient of [`slice_with_steps`](Self::slice_with_steps) for its input of `x_shape`: `self`, dy, in the places
    /// of the slice, and 0 elsewhere. A slice is thus the way back of a padding with zeros.
    ///
    /// # Errors
    /// [`Error::Shape`] unless dy has the slice's shape; those of [`slice_with_steps`](Self::slice_with_steps).
    pub fn slice_dx(&self, x_shape: &[usize], ranges: &[Range<usize>], steps: &[usize]) -> Result<Self> {
        let slices = axis_slices(x_shape, ranges, steps)?;
        let expected: Vec<usize> = slices.iter().map(|slice| slice.len).collect();
        if self.shape() != expected {
            return Err(Error::shape("slice backward", format!("a gradient {expected:?}"), self.shape()));
        }
        if takes_all(x_shape, &slices) {
            return Ok(self.clone());
        }
        element_count("slice backward", x_shape)?;
        let op = SliceBackward { shape: x_shape.to_vec(), slices };
        let [dx] = self.device().run(&op, [&self.data])?;
        Ok(Self::from_parts(self.device().clone(), op.shape, dx))
    }

    /// The tensors one after the other along `axis`, copied. The other axes have the same lengths.
    ///
    /// # Errors
    /// [`Error::Argument`] for no tensors or no such axis, [`Error::Shape`] for other lengths.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let a = Tensor::from_slice(&cpu, &[2, 1], &[1.0, 2.0])?;
    /// let b = Tensor::from_slice(&cpu, &[2, 2], &[3.0, 4.0, 5.0, 6.0])?;
    /// let c = Tensor::concat(&[&a, &b], 1)?;
    /// assert_eq!(c.shape(), [2, 3]);
    /// assert_eq!(c.to_vec()?, [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn concat(tensors: &[&Self], axis: usize) -> Result<Self> {
        const OP: &str = "concat";
        let [first, ..] = tensors else { return Err(Error::argument(OP, "expected at least 1 tensor, got none")) };
        let mut shape = first.shape().to_vec();
        if axis >= shape.len() {
            return Err(Error::argument(OP, format!("there is no axis {axis} in shape {shape:?}")));
        }
        for tensor in &tensors[1..] {
            let fits = |(i, (a, b)): (usize, (&usize, &usize))| i == axis || a == b;
            let same_rank = tensor.shape().len() == shape.len();
            if !same_rank || !tensor.shape().iter().zip(first.shape()).enumerate().all(fits) {
                let expected = format!("{:?}, but for the length of axis {axis}", first.shape());
                return Err(Error::shape(OP, expected, tensor.shape()));
            }
            shape[axis] = shape[axis].saturating_add(tensor.shape()[axis]);
        }
        if element_count(OP, &shape)? == 0 {
            return first.strided_copy(shape.clone(), &dense_strides(&shape), 0);
        }
        let parts = tensors.iter().map(|tensor| tensor.shape()[axis..].iter().product()).collect();
        let op = Concat { rows: shape[..axis].iter().product(), parts };
        let [y] = first.device().run(&op, tensors.iter().map(|tensor| &tensor.data).collect())?;
        Ok(Self::from_parts(first.device().clone(), shape, y))
    }

    /// The values repeated along new leading axes and along axes of length 1, copied, so that the result has `shape`.
    ///
    /// # Errors
    /// [`Error::Shape`] if another axis than one of length 1 would change.
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[2, 1], &[1.0, 2.0])?;
    /// assert_eq!(x.broadcast_to(&[2, 3])?.to_vec()?, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        const OP: &str = "broadcast";
        let strides = broadcast_strides(OP, self.shape(), shape)?;
        if self.shape() == shape {
            return Ok(self.clone());
        }
        element_count(OP, shape)?;
        self.strided_copy(shape.to_vec(), &strides, 0)
    }

    /// A dense tensor of `shape`, whose values are those of `self` at these strides from `start`.
    fn strided_copy(&self, shape: Vec<usize>, strides: &[usize], start: usize) -> Result<Self> {
        let layout = Layout::new(&shape, [strides, &dense_strides(&shape)], [start, 0]);
        let [y] = self.device().run(&StridedCopy { layout }, [&self.data])?;
        Ok(Self::from_parts(self.device().clone(), shape, y))
    }
}

/// The slice of each axis, checked.
fn axis_slices(shape: &[usize], ranges: &[Range<usize>], steps: &[usize]) -> Result<Vec<AxisSlice>> {
    const OP: &str = "slice";
    if ranges.len() > shape.len() || ranges.len() != steps.len() {
        let found = format!("{} ranges and {} steps", ranges.len(), steps.len());
        return Err(Error::argument(
            OP,
            format!("expected a range and a step for axes of shape {shape:?}, got {found}"),
        ));
    }
    let slice_of = |(axis, &len): (usize, &usize)| {
        let range = ranges.get(axis).cloned().unwrap_or(0..len);
        let step = steps.get(axis).copied().unwrap_or(1);
        if range.start > range.end || range.end > len {
            return Err(Error::argument(OP, format!("{range:?} is not a range of axis {axis} in shape {shape:?}")));
        }
        if step == 0 {
            return Err(Error::argument(OP, format!("the step of axis {axis} must be at least 1, got 0")));
        }
        // A step past the end takes one position, wherever it leads.
        let step = step.min(len.max(1));
        Ok(AxisSlice { start: range.start, step, len: range.len().div_ceil(step) })
    };
    shape.iter().enumerate().map(slice_of).collect()
}

/// Whether slices take each value once, so that nothing is to be copied.
fn takes_all(shape: &[usize], slices: &[AxisSlice]) -> bool {
    shape.iter().zip(slices).all(|(&len, slice)| slice.len == len)
}
