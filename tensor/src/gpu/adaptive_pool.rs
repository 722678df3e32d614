//! Adaptive average pooling. Each unit computes one vector of channels: of the output in the forward, of the input's
//! gradient in the backward, which gathers from the windows that cover its pixel, in the order in which the CPU adds them.

use cubecl::prelude::*;

use super::pool::vector_coord;
use super::precision::dispatch;
use super::{Buffer, Gpu};
use crate::ops::adaptive_pool::{AdaptiveAveragePoolBackward, AdaptiveAveragePoolForward, Geometry};
use crate::{Error, Kernel, Result};

/// The start and end of window `i`, where `parts` windows cover `length` positions.
#[cube]
fn share(i: usize, #[comptime] length: usize, #[comptime] parts: usize) -> (usize, usize) {
    (i * length / parts, ((i + 1) * length + comptime!(parts - 1)) / parts)
}

#[cube(launch_unchecked)]
fn adaptive_average_pool_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    #[comptime] g: Geometry,
) {
    if ABSOLUTE_POS < y.len() {
        let to = vector_coord(ABSOLUTE_POS, g.output, g.channels);
        let (first_row, end_row) = share(to.row, comptime!(g.input[0]), comptime!(g.output[0]));
        let (first_column, end_column) = share(to.column, comptime!(g.input[1]), comptime!(g.output[1]));
        let start = to.image * comptime!(g.input[0] * g.input[1]);
        let mut sum = Vector::<f32, N>::new(0.0f32);
        for row in first_row..end_row {
            for column in first_column..end_column {
                let at = start + row * comptime!(g.input[1]) + column;
                sum += Vector::cast_from(x[at * g.channels + to.vector]);
            }
        }
        let count = f32::cast_from((end_row - first_row) * (end_column - first_column));
        y[ABSOLUTE_POS] = Vector::cast_from(sum * Vector::new(1.0f32 / count));
    }
}

#[cube(launch_unchecked)]
fn adaptive_average_pool_dx_kernel<F: Float, N: Size>(
    dy: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    #[comptime] g: Geometry,
) {
    if ABSOLUTE_POS < dx.len() {
        let from = vector_coord(ABSOLUTE_POS, g.input, g.channels);
        let (first_row, end_row) = share(from.row, comptime!(g.output[0]), comptime!(g.input[0]));
        let (first_column, end_column) = share(from.column, comptime!(g.output[1]), comptime!(g.input[1]));
        let start = from.image * comptime!(g.output[0] * g.output[1]);
        let mut sum = Vector::<f32, N>::new(0.0f32);
        for row in first_row..end_row {
            let (top, bottom) = share(row, comptime!(g.input[0]), comptime!(g.output[0]));
            for column in first_column..end_column {
                let (left, right) = share(column, comptime!(g.input[1]), comptime!(g.output[1]));
                let count = f32::cast_from((bottom - top) * (right - left));
                let window = start + row * comptime!(g.output[1]) + column;
                let gradient = Vector::<f32, N>::cast_from(dy[window * g.channels + from.vector]);
                sum += gradient * Vector::new(1.0f32 / count);
            }
        }
        dx[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}

impl<R: Runtime> Kernel<AdaptiveAveragePoolForward> for Gpu<R> {
    fn run(&self, op: &AdaptiveAveragePoolForward, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        let [_, len] = self.adaptive_pool_lens(g)?;
        let y = self.empty(x.dtype(), len);
        if len > 0 {
            let width = self.vector_width(x.dtype(), &[g.channels]);
            let (count, dim) = self.unit_grid(len / width);
            // SAFETY: windows lie inside the image; units past the end do nothing.
            dispatch!(x.dtype(), F => unsafe {
                adaptive_average_pool_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, x.arg(), y.arg(), compile_time_geometry(g, width),
                );
            });
        }
        Ok([y])
    }
}

impl<R: Runtime> Kernel<AdaptiveAveragePoolBackward> for Gpu<R> {
    fn run(&self, op: &AdaptiveAveragePoolBackward, [dy]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        let [len, _] = self.adaptive_pool_lens(g)?;
        let dx = self.empty(dy.dtype(), len);
        if len > 0 {
            let width = self.vector_width(dy.dtype(), &[g.channels]);
            let (count, dim) = self.unit_grid(len / width);
            // SAFETY: the windows that cover a pixel lie in the output; units past the end do nothing.
            dispatch!(dy.dtype(), F => unsafe {
                adaptive_average_pool_dx_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, dy.arg(), dx.arg(), compile_time_geometry(g, width),
                );
            });
        }
        Ok([dx])
    }
}

/// The geometry that a kernel is compiled for: any number of images, channels counted in vectors.
fn compile_time_geometry(g: &Geometry, width: usize) -> Geometry {
    Geometry { n: 0, channels: g.channels / width, ..*g }
}

impl<R: Runtime> Gpu<R> {
    /// The number of values in the input and in the output, if kernels can count them and the products of their sides.
    fn adaptive_pool_lens(&self, g: &Geometry) -> Result<[usize; 2]> {
        for axis in 0..2 {
            if i32::try_from((g.input[axis] + 1) * (g.output[axis] + 1)).is_err() {
                let what = format!("windows must be counted with 32 bits, got {:?} to {:?}", g.input, g.output);
                return Err(Error::argument("adaptive pool", what));
            }
        }
        let lens = [g.x_shape(), g.y_shape()].map(|shape| shape.iter().product());
        lens.iter().try_for_each(|&len| self.addressable("adaptive pool", len))?;
        Ok(lens)
    }
}
