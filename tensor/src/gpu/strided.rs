//! Copies in another order. Each unit copies one vector, whose indices it computes from its own and the axes.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::layout::{Layout, dense_strides};
use crate::ops::strided::{Concat, SliceBackward, StridedCopy};
use crate::{Device, Kernel, Result};

/// The numbers of an axis in [`Gpu::upload_axes`].
const AXIS: usize = 3;

/// The indices of value `at` of a layout in both buffers, counted from the first value.
#[cube]
pub(super) fn indices(at: usize, axes: &Array<u32>) -> (usize, usize) {
    let mut rest = at;
    let mut first = 0usize;
    let mut second = 0usize;
    let mut axis = 0usize;
    while axis < axes.len() {
        let len = axes[axis] as usize;
        let position = rest % len;
        rest /= len;
        first += position * axes[axis + 1] as usize;
        second += position * axes[axis + 2] as usize;
        axis += AXIS;
    }
    (first, second)
}

#[cube(launch)]
fn copy_strided_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    axes: &Array<u32>,
    x_start: usize,
    y_start: usize,
    len: usize,
) {
    if ABSOLUTE_POS < len {
        let (from, to) = indices(ABSOLUTE_POS, axes);
        y[y_start + to] = x[x_start + from];
    }
}

impl<R: Runtime> Gpu<R> {
    /// The axes of a layout in vectors of `width` values: length and both strides of each, the innermost axis first.
    pub(super) fn upload_axes(&self, layout: &Layout, width: usize) -> Result<IntBuffer> {
        let mut words = Vec::with_capacity(AXIS * layout.axes().len());
        for (i, axis) in layout.axes().iter().rev().enumerate() {
            let [first, second] = axis.strides;
            let numbers =
                if i == 0 { [axis.len / width, first, second] } else { [axis.len, first / width, second / width] };
            words.extend(numbers.map(|number| number as u32));
        }
        self.upload_ints(&words)
    }

    /// The widest vectors of neighbours in both buffers.
    fn layout_width(&self, dtype: Dtype, layout: &Layout) -> usize {
        let inner = layout.inner();
        if inner.strides != [1, 1] {
            return 1;
        }
        let outer = layout.axes().iter().rev().skip(1).flat_map(|axis| axis.strides);
        let multiples: Vec<usize> = outer.chain(layout.starts()).chain([inner.len]).collect();
        self.vector_width(dtype, &multiples)
    }

    /// Copies the values of x at the first indices to the second indices of y.
    fn copy_strided(&self, layout: &Layout, x: &Buffer, y: &Buffer) -> Result<()> {
        if layout.is_empty() {
            return Ok(());
        }
        let x = self.cast(x, y.dtype());
        let width = self.layout_width(y.dtype(), layout);
        let axes = self.upload_axes(layout, width)?;
        let len = layout.len() / width;
        let [x_start, y_start] = layout.starts().map(|start| start / width);
        let (count, dim) = self.unit_grid(len);
        dispatch!(y.dtype(), F => {
            copy_strided_kernel::launch::<F, R>(
                self.client(), count, dim, width, x.arg(), y.arg(), axes.arg(), x_start, y_start, len,
            );
        });
        Ok(())
    }
}

impl<R: Runtime> Kernel<StridedCopy> for Gpu<R> {
    fn run(&self, op: &StridedCopy, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let len = op.layout.len();
        self.addressable("strided copy", len)?;
        let y = self.empty(x.dtype(), len);
        self.copy_strided(&op.layout, x, &y)?;
        Ok([y])
    }
}

impl<R: Runtime> Kernel<SliceBackward> for Gpu<R> {
    fn run(&self, op: &SliceBackward, [dy]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        self.addressable("slice backward", op.len())?;
        let dx = self.empty(dy.dtype(), op.len());
        self.fill(&dx, 0.0);
        let strides = dense_strides(&op.shape);
        let start = op.slices.iter().zip(&strides).map(|(slice, stride)| slice.start * stride).sum();
        let to: Vec<usize> = op.slices.iter().zip(&strides).map(|(slice, stride)| slice.step * stride).collect();
        let taken: Vec<usize> = op.slices.iter().map(|slice| slice.len).collect();
        self.copy_strided(&Layout::new(&taken, [&dense_strides(&taken), &to], [0, start]), dy, &dx)?;
        Ok([dx])
    }
}

impl<R: Runtime> Kernel<Concat> for Gpu<R> {
    fn run(&self, op: &Concat, tensors: Vec<&Buffer>) -> Result<[Buffer; 1]> {
        let width: usize = op.parts.iter().sum();
        self.addressable("concat", op.rows * width)?;
        let is_wide = tensors.iter().any(|tensor| tensor.dtype() == Dtype::F32);
        let y = self.empty(if is_wide { Dtype::F32 } else { Dtype::Bf16 }, op.rows * width);
        let mut start = 0;
        for (tensor, &part) in tensors.into_iter().zip(&op.parts) {
            let layout = Layout::new(&[op.rows, part], [&[part, 1], &[width, 1]], [0, start]);
            self.copy_strided(&layout, tensor, &y)?;
            start += part;
        }
        Ok([y])
    }
}
