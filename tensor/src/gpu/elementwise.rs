//! Sums, products and scaling, value by value: one pass, vectors as wide as the device moves.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};
use crate::ops::elementwise::{AddScaled, Binary, BinaryOperator, MulAddScalar};
use crate::{Kernel, Result};

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
        let result = match comptime!(operator) {
            BinaryOperator::Add => a + b,
            BinaryOperator::Subtract => a - b,
            BinaryOperator::Multiply => a * b,
        };
        c[ABSOLUTE_POS] = Vector::cast_from(result);
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
