//! ReLU, tanh and the logistic function: one pass, vectors as wide as the device moves.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Gpu};
use crate::ops::activation::{Activation, ActivationBackward, ActivationForward};
use crate::{Kernel, Result};

#[cube(launch)]
fn activation_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    #[comptime] f: Activation,
) {
    if ABSOLUTE_POS < y.len() {
        let x = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let zero = Vector::new(0.0f32);
        let one = Vector::new(1.0f32);
        let result = match comptime!(f) {
            // Unlike max(x, 0), keeps NaN.
            Activation::Relu => select_many(x.less_than(zero), zero, x),
            Activation::Tanh => Vector::tanh(x),
            Activation::Logistic => one / (one + Vector::exp(zero - x)),
        };
        y[ABSOLUTE_POS] = Vector::cast_from(result);
    }
}

#[cube(launch)]
fn activation_dx_kernel<F: Float, N: Size>(
    y: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    #[comptime] f: Activation,
) {
    if ABSOLUTE_POS < dx.len() {
        let y = Vector::<f32, N>::cast_from(y[ABSOLUTE_POS]);
        let dy = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]);
        let zero = Vector::new(0.0f32);
        let one = Vector::new(1.0f32);
        let result = match comptime!(f) {
            Activation::Relu => select_many(y.greater_than(zero), dy, zero),
            Activation::Tanh => dy * (one - y * y),
            Activation::Logistic => dy * y * (one - y),
        };
        dx[ABSOLUTE_POS] = Vector::cast_from(result);
    }
}

impl<R: Runtime> Kernel<ActivationForward> for Gpu<R> {
    fn run(&self, op: &ActivationForward, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let &ActivationForward { f, len } = op;
        let y = self.empty(x.dtype(), len);
        if len > 0 {
            let width = self.vector_width(x.dtype(), &[len]);
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(x.dtype(), F => {
                activation_kernel::launch::<F, R>(self.client(), count, dim, width, x.arg(), y.arg(), f);
            });
        }
        Ok([y])
    }
}

impl<R: Runtime> Kernel<ActivationBackward> for Gpu<R> {
    fn run(&self, op: &ActivationBackward, (gradient, [y]): (&mut Buffer, [&Buffer; 1])) -> Result<[Buffer; 0]> {
        let &ActivationBackward { f, len } = op;
        let (y, dy) = self.promote(y, gradient);
        let dx = self.empty(dy.dtype(), len);
        if len > 0 {
            let width = self.vector_width(dy.dtype(), &[len]);
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(dy.dtype(), F => {
                activation_dx_kernel::launch::<F, R>(self.client(), count, dim, width, y.arg(), dy.arg(), dx.arg(), f);
            });
        }
        *gradient = dx;
        Ok([])
    }

    fn runs_in_place(&self, _: &ActivationBackward) -> bool {
        false
    }
}
