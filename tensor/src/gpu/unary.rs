//! Elementwise functions: one pass, vectors as wide as the device moves.

use cubecl::prelude::*;

use super::elementwise::is_nan;
use super::precision::dispatch;
use super::{Buffer, Gpu};
use crate::ops::unary::{Unary, UnaryBackward, UnaryOperator};
use crate::{Kernel, Result};

#[cube(launch)]
fn unary_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    low: f32,
    high: f32,
    #[comptime] operator: UnaryOperator,
) {
    if ABSOLUTE_POS < y.len() {
        let x = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let result = match comptime!(operator) {
            UnaryOperator::Exp => Vector::exp(x),
            UnaryOperator::Log => Vector::ln(x),
            UnaryOperator::Sqrt => Vector::sqrt(x),
            UnaryOperator::Abs => Vector::abs(x),
            UnaryOperator::Square => x * x,
            UnaryOperator::Reciprocal => Vector::new(1.0f32) / x,
            UnaryOperator::Clamp => {
                let low = Vector::new(low);
                let high = Vector::new(high);
                let clamped = select_many(x.less_than(low), low, select_many(x.greater_than(high), high, x));
                select_many(is_nan(x), x, clamped)
            }
        };
        y[ABSOLUTE_POS] = Vector::cast_from(result);
    }
}

#[cube(launch)]
fn unary_dx_kernel<F: Float, N: Size>(
    dy: &Array<Vector<F, N>>,
    kept: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    low: f32,
    high: f32,
    #[comptime] operator: UnaryOperator,
) {
    if ABSOLUTE_POS < dx.len() {
        let dy = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]);
        let kept = Vector::<f32, N>::cast_from(kept[ABSOLUTE_POS]);
        let zero = Vector::new(0.0f32);
        let result = match comptime!(operator) {
            UnaryOperator::Exp => dy * kept,
            UnaryOperator::Log => dy / kept,
            UnaryOperator::Sqrt => dy / (kept + kept),
            UnaryOperator::Abs => {
                let negative = select_many(kept.less_than(zero), zero - dy, zero);
                select_many(kept.greater_than(zero), dy, negative)
            }
            UnaryOperator::Square => dy * (kept + kept),
            UnaryOperator::Reciprocal => zero - dy * kept * kept,
            UnaryOperator::Clamp => {
                let below = select_many(kept.greater_equal(Vector::new(low)), dy, zero);
                select_many(kept.less_equal(Vector::new(high)), below, zero)
            }
        };
        dx[ABSOLUTE_POS] = Vector::cast_from(result);
    }
}

impl<R: Runtime> Kernel<Unary> for Gpu<R> {
    fn run(&self, op: &Unary, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let &Unary { operator, bounds, len } = op;
        self.addressable("unary", len)?;
        let y = self.empty(x.dtype(), len);
        if len > 0 {
            let [low, high] = bounds.map(|bound| bound as f32);
            let width = self.vector_width(x.dtype(), &[len]);
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(x.dtype(), F => {
                unary_kernel::launch::<F, R>(
                    self.client(), count, dim, width, x.arg(), y.arg(), low, high, operator,
                );
            });
        }
        Ok([y])
    }
}

impl<R: Runtime> Kernel<UnaryBackward> for Gpu<R> {
    fn run(&self, op: &UnaryBackward, [dy, kept]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let &UnaryBackward { operator, bounds, len } = op;
        self.addressable("unary backward", len)?;
        let (dy, kept) = self.promote(dy, kept);
        let dx = self.empty(dy.dtype(), len);
        if len > 0 {
            let [low, high] = bounds.map(|bound| bound as f32);
            let width = self.vector_width(dy.dtype(), &[len]);
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(dy.dtype(), F => {
                unary_dx_kernel::launch::<F, R>(
                    self.client(), count, dim, width, dy.arg(), kept.arg(), dx.arg(), low, high, operator,
                );
            });
        }
        Ok([dx])
    }
}
