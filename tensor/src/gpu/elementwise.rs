//! Elementwise operations on two tensors, and scaling: one pass, vectors as wide as the device moves.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::strided::indices;
use super::{Buffer, Dtype, Gpu};
use crate::ops::elementwise::{AddScaled, Binary, BinaryOperator, BroadcastBinary, MulAddScalar};
use crate::{Kernel, Result};

/// Whether values are NaN, by their bits: devices need not honour NaN in comparisons of floating-point numbers.
#[cube]
pub(super) fn is_nan<N: Size>(x: Vector<f32, N>) -> Vector<bool, N> {
    let magnitude = Vector::<u32, N>::reinterpret(x) & Vector::new(0x7fff_ffffu32);
    magnitude.greater_than(Vector::new(0x7f80_0000u32))
}

/// `a operator b`.
#[cube]
fn combine<N: Size>(a: Vector<f32, N>, b: Vector<f32, N>, #[comptime] operator: BinaryOperator) -> Vector<f32, N> {
    match comptime!(operator) {
        BinaryOperator::Add => a + b,
        BinaryOperator::Subtract => a - b,
        BinaryOperator::Multiply => a * b,
        BinaryOperator::Divide => a / b,
        BinaryOperator::Minimum => nan_or(a, b, select_many(b.less_than(a), b, a)),
        BinaryOperator::Maximum => nan_or(a, b, select_many(b.greater_than(a), b, a)),
        BinaryOperator::Less => {
            let zero = Vector::new(0.0f32);
            let mask = select_many(a.less_than(b), Vector::new(1.0f32), zero);
            select_many(is_nan(a), zero, select_many(is_nan(b), zero, mask))
        }
    }
}

/// a or b where they are NaN, else `result`.
#[cube]
fn nan_or<N: Size>(a: Vector<f32, N>, b: Vector<f32, N>, result: Vector<f32, N>) -> Vector<f32, N> {
    select_many(is_nan(a), a, select_many(is_nan(b), b, result))
}

#[cube(launch)]
fn binary_kernel<F: Float, N: Size>(
    a: &Array<Vector<F, N>>,
    b: &Array<Vector<F, N>>,
    c: &mut Array<Vector<F, N>>,
    #[comptime] operator: BinaryOperator,
) {
    if ABSOLUTE_POS < c.len() {
        let a = Vector::<f32, N>::cast_from(a[ABSOLUTE_POS]);
        let b = Vector::<f32, N>::cast_from(b[ABSOLUTE_POS]);
        c[ABSOLUTE_POS] = Vector::cast_from(combine(a, b, operator));
    }
}

/// One value for each unit; `axes` are those of the layout of a and b.
#[cube(launch)]
fn broadcast_binary_kernel<F: Float, N: Size>(
    a: &Array<Vector<F, N>>,
    b: &Array<Vector<F, N>>,
    c: &mut Array<Vector<F, N>>,
    axes: &Array<u32>,
    #[comptime] operator: BinaryOperator,
) {
    if ABSOLUTE_POS < c.len() {
        let (in_a, in_b) = indices(ABSOLUTE_POS, axes);
        let a = Vector::<f32, N>::cast_from(a[in_a]);
        let b = Vector::<f32, N>::cast_from(b[in_b]);
        c[ABSOLUTE_POS] = Vector::cast_from(combine(a, b, operator));
    }
}

/// x is read in its own format, so that nothing is rounded before the sum.
#[cube(launch)]
fn add_scaled_kernel<Y: Float, X: Float, N: Size>(y: &mut Array<Vector<Y, N>>, factor: f32, x: &Array<Vector<X, N>>) {
    if ABSOLUTE_POS < y.len() {
        let x = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let sum = Vector::<f32, N>::cast_from(y[ABSOLUTE_POS]) + Vector::new(factor) * x;
        y[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}

#[cube(launch)]
fn mul_add_scalar_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    factor: f32,
    shift: f32,
    y: &mut Array<Vector<F, N>>,
) {
    if ABSOLUTE_POS < y.len() {
        let x = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        y[ABSOLUTE_POS] = Vector::cast_from(Vector::new(factor) * x + Vector::new(shift));
    }
}

impl<R: Runtime> Kernel<Binary> for Gpu<R> {
    fn run(&self, op: &Binary, [a, b]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let &Binary { operator, len } = op;
        self.addressable("elementwise", len)?;
        let (a, b) = self.promote(a, b);
        let c = self.empty(a.dtype(), len);
        if len > 0 {
            let width = self.vector_width(a.dtype(), &[len]);
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(a.dtype(), F => {
                binary_kernel::launch::<F, R>(self.client(), count, dim, width, a.arg(), b.arg(), c.arg(), operator);
            });
        }
        Ok([c])
    }
}

impl<R: Runtime> Kernel<BroadcastBinary> for Gpu<R> {
    fn run(&self, op: &BroadcastBinary, [a, b]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let BroadcastBinary { operator, layout } = op;
        let len = layout.len();
        self.addressable("elementwise", len)?;
        let (a, b) = self.promote(a, b);
        let c = self.empty(a.dtype(), len);
        if len > 0 {
            let axes = self.upload_axes(layout, 1)?;
            let (count, dim) = self.unit_grid(len);
            dispatch!(a.dtype(), F => {
                broadcast_binary_kernel::launch::<F, R>(
                    self.client(), count, dim, 1, a.arg(), b.arg(), c.arg(), axes.arg(), *operator,
                );
            });
        }
        Ok([c])
    }
}

impl<R: Runtime> Kernel<AddScaled> for Gpu<R> {
    fn run(&self, op: &AddScaled, (y, [x]): (&mut Buffer, [&Buffer; 1])) -> Result<[Buffer; 0]> {
        let &AddScaled { len, factor } = op;
        self.addressable("add_scaled", len)?;
        self.make_unique(y);
        if len > 0 {
            // A width that fits both formats: that of the wider one.
            let dtype = if y.dtype() == x.dtype() { x.dtype() } else { Dtype::F32 };
            let width = self.vector_width(dtype, &[len]);
            let (count, dim) = self.unit_grid(len / width);
            let factor = factor as f32;
            dispatch!(y.dtype(), Y => dispatch!(x.dtype(), X => {
                add_scaled_kernel::launch::<Y, X, R>(self.client(), count, dim, width, y.arg(), factor, x.arg());
            }));
        }
        Ok([])
    }
}

impl<R: Runtime> Kernel<MulAddScalar> for Gpu<R> {
    fn run(&self, op: &MulAddScalar, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let &MulAddScalar { len, factor, shift } = op;
        self.addressable("mul_add_scalar", len)?;
        let y = self.empty(x.dtype(), len);
        if len > 0 {
            let width = self.vector_width(x.dtype(), &[len]);
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(x.dtype(), F => {
                mul_add_scalar_kernel::launch::<F, R>(
                    self.client(), count, dim, width, x.arg(), factor as f32, shift as f32, y.arg(),
                );
            });
        }
        Ok([y])
    }
}
