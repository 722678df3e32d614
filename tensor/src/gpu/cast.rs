//! Conversions between number formats, copies, and fills.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};

#[cube(launch)]
fn cast_kernel<I: Float, O: Float, N: Size>(x: &Array<Vector<I, N>>, y: &mut Array<Vector<O, N>>) {
    if ABSOLUTE_POS < y.len() {
        y[ABSOLUTE_POS] = Vector::cast_from(x[ABSOLUTE_POS]);
    }
}

#[cube(launch)]
fn fill_kernel<F: Float, N: Size>(value: f32, y: &mut Array<Vector<F, N>>) {
    if ABSOLUTE_POS < y.len() {
        y[ABSOLUTE_POS] = Vector::cast_from(value);
    }
}

impl<R: Runtime> Gpu<R> {
    /// The buffer converted to `dtype`; the same buffer if it has that format.
    pub fn cast(&self, x: &Buffer, dtype: Dtype) -> Buffer {
        if x.dtype() == dtype {
            return x.clone();
        }
        let y = self.empty(dtype, x.len());
        if !x.is_empty() {
            let width = self.vector_width(Dtype::F32, &[x.len()]);
            let (count, dim) = self.unit_grid(x.len() / width);
            dispatch!(x.dtype(), I => dispatch!(dtype, O => {
                cast_kernel::launch::<I, O, R>(self.client(), count, dim, width, x.arg(), y.arg());
            }));
        }
        y
    }

    /// The buffer in `f32`.
    pub(crate) fn to_f32(&self, x: &Buffer) -> Buffer {
        self.cast(x, Dtype::F32)
    }

    /// Two buffers in the wider of their formats.
    pub(crate) fn promote(&self, a: &Buffer, b: &Buffer) -> (Buffer, Buffer) {
        if a.dtype() == b.dtype() { (a.clone(), b.clone()) } else { (self.to_f32(a), self.to_f32(b)) }
    }

    /// Fills a buffer with `value`.
    pub(crate) fn fill(&self, y: &Buffer, value: f32) {
        if !y.is_empty() {
            let width = self.vector_width(y.dtype(), &[y.len()]);
            let (count, dim) = self.unit_grid(y.len() / width);
            dispatch!(y.dtype(), F => {
                fill_kernel::launch::<F, R>(self.client(), count, dim, width, value, y.arg());
            });
        }
    }

    /// Copies the buffer if clones share it, before a kernel writes to it in place.
    pub fn make_unique(&self, x: &mut Buffer) {
        if x.is_unique() {
            return;
        }
        let copy = self.empty(x.dtype(), x.len());
        if !x.is_empty() {
            let width = self.vector_width(x.dtype(), &[x.len()]);
            let (count, dim) = self.unit_grid(x.len() / width);
            dispatch!(x.dtype(), F => {
                cast_kernel::launch::<F, F, R>(self.client(), count, dim, width, x.arg(), copy.arg());
            });
        }
        *x = copy;
    }
}
