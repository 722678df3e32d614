//! Strided layouts: the places of a result's values in two buffers.

use std::ops::Range;

use crate::tensor::element_count;
use crate::{Error, Result};

/// An axis of a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The number of positions.
    pub len: usize,
    /// The distance of two neighbours in each buffer; 0 where one value stands for all positions.
    pub strides: [usize; 2],
}

/// A grid of values that lies in two buffers. Values are counted in row-major order of the axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// At least one axis, outermost first. There are no axes of length 1, and no neighbours that one axis can stand for.
    axes: Vec<Axis>,
    /// The indices of the first value.
    starts: [usize; 2],
}

impl Layout {
    /// A grid of `shape` with the given strides and first indices.
    pub(crate) fn new(shape: &[usize], strides: [&[usize]; 2], starts: [usize; 2]) -> Self {
        if shape.contains(&0) {
            return Self { axes: vec![Axis { len: 0, strides: [1, 1] }], starts };
        }
        let mut axes: Vec<Axis> = Vec::with_capacity(shape.len().max(1));
        for (i, &len) in shape.iter().enumerate().filter(|&(_, &len)| len != 1) {
            let axis = Axis { len, strides: strides.map(|strides| strides[i]) };
            match axes.last_mut().filter(|outer| outer.continues_in(&axis)) {
                Some(outer) => *outer = Axis { len: outer.len * len, strides: axis.strides },
                None => axes.push(axis),
            }
        }
        if axes.is_empty() {
            axes.push(Axis { len: 1, strides: [1, 1] });
        }
        Self { axes, starts }
    }

    /// The axes, outermost first. There is at least one.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The indices of the first value.
    pub fn starts(&self) -> [usize; 2] {
        self.starts
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.len).product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The innermost axis.
    pub fn inner(&self) -> Axis {
        self.axes[self.axes.len() - 1]
    }

    /// Calls `run` for each stretch of the innermost axis in a range of values, with the stretch's place in the range and
    /// the indices of its first value.
    pub(crate) fn for_each_run(&self, range: Range<usize>, mut run: impl FnMut(Range<usize>, [usize; 2])) {
        let inner = self.inner();
        let mut at = range.start;
        while at < range.end {
            let column = at % inner.len;
            let end = (at - column + inner.len).min(range.end);
            let row = self.row_starts(at / inner.len);
            let first = [0, 1].map(|buffer| row[buffer] + column * inner.strides[buffer]);
            run(at - range.start..end - range.start, first);
            at = end;
        }
    }

    /// The indices of the first value of a row, the positions of the innermost axis.
    fn row_starts(&self, row: usize) -> [usize; 2] {
        let mut rest = row;
        let mut indices = self.starts;
        for axis in self.axes.iter().rev().skip(1) {
            for (index, stride) in indices.iter_mut().zip(axis.strides) {
                *index += rest % axis.len * stride;
            }
            rest /= axis.len;
        }
        indices
    }
}

impl Axis {
    /// Whether a step of this axis leads where the next position of `inner` would be.
    fn continues_in(&self, inner: &Self) -> bool {
        (0..2).all(|buffer| self.strides[buffer] == inner.len * inner.strides[buffer])
    }
}

/// The strides of a dense tensor in row-major order.
pub(crate) fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        // Beside an axis of length 0, others may be of any length.
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// The strides of a dense tensor that is repeated along new leading axes, and along axes of length 1, as `to` needs it.
///
/// # Errors
/// [`Error::Shape`] if it has more axes than `to`, or one of another length than 1 and that of `to`.
pub(crate) fn broadcast_strides(op: &'static str, shape: &[usize], to: &[usize]) -> Result<Vec<usize>> {
    let refused = || Error::shape(op, format!("a shape that broadcasts to {to:?}"), shape);
    let leading = to.len().checked_sub(shape.len()).ok_or_else(refused)?;
    let mut strides = vec![0; leading];
    for ((&len, &target), stride) in shape.iter().zip(&to[leading..]).zip(dense_strides(shape)) {
        if len != target && len != 1 {
            return Err(refused());
        }
        strides.push(if len == 1 { 0 } else { stride });
    }
    Ok(strides)
}

/// The shape of the result of an elementwise operation. Axes are aligned at the last one; an axis of length 1, or one that
/// is not there, is repeated.
///
/// # Errors
/// [`Error::Shape`] if two axes differ and neither has length 1.
pub(crate) fn broadcast_shape(op: &'static str, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let axis_of = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let lengths = (0..rank).map(|axis| match [axis_of(a, axis), axis_of(b, axis)] {
        [a, b] if a == b => Some(a),
        [1, len] | [len, 1] => Some(len),
        _ => None,
    });
    let shape: Option<Vec<usize>> = lengths.collect();
    let shape = shape.ok_or_else(|| Error::shape(op, format!("a shape that broadcasts with {a:?}"), b))?;
    element_count(op, &shape)?;
    Ok(shape)
}
