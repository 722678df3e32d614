//! Max and average pooling. Each unit computes one vector of channels: of the output in the forward, of the input's
//! gradient in the backward, which gathers from the windows that cover its pixel, in the order in which the CPU adds them.
//!
//! Overlapping windows read values again from the caches, so that memory sees each input and output once. The geometry is
//! known at compile time, which turns divisions into multiplications.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Gpu, IntBuffer};
use crate::ops::pool::{AveragePoolBackward, AveragePoolForward, Geometry, MaxPoolBackward, MaxPoolForward, PoolKind};
use crate::{Error, Kernel, Result};

/// The most positions of a window whose loops are unrolled.
const MAX_UNROLLED: usize = 16;

/// The geometry that a kernel is compiled for: any number of images, channels counted in vectors.
pub(super) fn compile_time_geometry(g: &Geometry, width: usize) -> Geometry {
    let mut g = Geometry { n: 0, channels: g.channels / width, ..*g };
    for axis in 0..2 {
        if g.output[axis] == 1 {
            // With one window, the stride has no effect; a huge one would overflow.
            g.spec.stride[axis] = g.spec.kernel[axis];
        }
    }
    g
}

/// Whether windows along an axis overhang the image.
pub(super) fn overhangs(g: &Geometry, axis: usize) -> bool {
    let last = (g.output[axis] - 1) * g.spec.stride[axis] + g.spec.kernel[axis];
    g.before(axis) > 0 || last > g.before(axis) + g.input[axis]
}

/// Whether the loops over a window are unrolled.
pub(super) fn is_unrolled(g: &Geometry) -> bool {
    g.spec.kernel[0] * g.spec.kernel[1] <= MAX_UNROLLED
}

/// The most windows along an axis that cover one pixel.
fn windows_per_pixel(g: &Geometry, axis: usize) -> usize {
    g.spec.kernel[axis].div_ceil(g.spec.stride[axis])
}

/// The coordinates of a vector: image, row, column, and vector of channels in the pixel.
#[derive(CubeType, Clone, Copy)]
pub(super) struct VectorCoord {
    pub image: usize,
    pub row: usize,
    pub column: usize,
    pub vector: usize,
}

/// The coordinates of the vector at index `at`, for images of `size`.
#[cube]
pub(super) fn vector_coord(at: usize, #[comptime] size: [usize; 2], #[comptime] vectors: usize) -> VectorCoord {
    let pixel = at / vectors;
    let row = pixel / comptime!(size[1]);
    VectorCoord {
        image: row / comptime!(size[0]),
        row: row % comptime!(size[0]),
        column: pixel % comptime!(size[1]),
        vector: at % vectors,
    }
}

/// Whether a coordinate, counted from the start of the leading padding, is inside the image.
#[cube]
pub(super) fn is_inside(padded: usize, #[comptime] g: Geometry, #[comptime] axis: usize) -> bool {
    if comptime!(overhangs(&g, axis)) {
        padded >= comptime!(g.before(axis)) && padded < comptime!(g.before(axis) + g.input[axis])
    } else {
        true.runtime()
    }
}

/// Converts a coordinate that counts from the start of the leading padding to one that counts from the image's start.
/// Saturates, because CubeCL evaluates constants while it expands a kernel, even behind a condition that is false.
#[cube]
pub(super) fn unpadded(padded: usize, #[comptime] g: Geometry, #[comptime] axis: usize) -> usize {
    if comptime!(g.before(axis) == 0) {
        padded
    } else {
        max(padded, comptime!(g.before(axis))) - comptime!(g.before(axis))
    }
}

/// The first coordinate of window `i` inside the image.
#[cube]
pub(super) fn first_inside(i: usize, #[comptime] g: Geometry, #[comptime] axis: usize) -> usize {
    max(i * comptime!(g.spec.stride[axis]), comptime!(g.before(axis))) - comptime!(g.before(axis))
}

/// Replaces `best` and its position where `value` is larger, or is the first NaN.
#[cube]
pub(super) fn max_with_position<N: Size>(
    best: &mut Vector<f32, N>,
    positions: &mut Vector<u32, N>,
    value: Vector<f32, N>,
    position: Vector<u32, N>,
) {
    let keep = value.less_equal(*best).or(Vector::is_nan(*best));
    *best = select_many(keep, *best, value);
    *positions = select_many(keep, *positions, position);
}

/// `lowest` is minus infinity, for which some shading languages have no literal.
#[cube(launch_unchecked)]
fn max_pool_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    positions: &mut Array<Vector<u32, N>>,
    lowest: f32,
    #[comptime] g: Geometry,
) {
    if ABSOLUTE_POS < y.len() {
        let to = vector_coord(ABSOLUTE_POS, g.output, g.channels);
        let first = first_inside(to.row, g, 0usize) * comptime!(g.input[1]) + first_inside(to.column, g, 1usize);
        let mut best = Vector::<f32, N>::new(lowest);
        let mut from = Vector::<u32, N>::new(first as u32);
        let start = to.image * comptime!(g.input[0] * g.input[1]);
        let short = comptime!(is_unrolled(&g));
        #[unroll(short)]
        for ky in 0..comptime!(g.spec.kernel[0]) {
            let py = to.row * comptime!(g.spec.stride[0]) + ky;
            if is_inside(py, g, 0usize) {
                let row = unpadded(py, g, 0usize) * comptime!(g.input[1]);
                #[unroll(short)]
                for kx in 0..comptime!(g.spec.kernel[1]) {
                    let px = to.column * comptime!(g.spec.stride[1]) + kx;
                    if is_inside(px, g, 1usize) {
                        let at = row + unpadded(px, g, 1usize);
                        let value = Vector::cast_from(x[(start + at) * g.channels + to.vector]);
                        max_with_position::<N>(&mut best, &mut from, value, Vector::new(at as u32));
                    }
                }
            }
        }
        y[ABSOLUTE_POS] = Vector::cast_from(best);
        positions[ABSOLUTE_POS] = from;
    }
}

/// The sum of the gradients whose maxima came from the vector at `at` of the input.
#[cube]
pub(super) fn gather<F: Float, N: Size>(
    positions: &Array<Vector<u32, N>>,
    dy: &Array<Vector<F, N>>,
    at: usize,
    #[comptime] g: Geometry,
) -> Vector<f32, N> {
    let from = vector_coord(at, g.input, g.channels);
    let here = Vector::<u32, N>::new((from.row * comptime!(g.input[1]) + from.column) as u32);
    let above = comptime!(windows_per_pixel(&g, 0) - 1);
    let left = comptime!(windows_per_pixel(&g, 1) - 1);
    let py = from.row + comptime!(g.before(0));
    let px = from.column + comptime!(g.before(1));
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let short = comptime!(is_unrolled(&g));
    #[unroll(short)]
    for j in 0..comptime!(windows_per_pixel(&g, 0)) {
        let oy = py / comptime!(g.spec.stride[0]) + j;
        if covers(oy, above, py, g, 0usize) {
            let row = (from.image * comptime!(g.output[0]) + oy - above) * comptime!(g.output[1]);
            #[unroll(short)]
            for i in 0..comptime!(windows_per_pixel(&g, 1)) {
                let ox = px / comptime!(g.spec.stride[1]) + i;
                if covers(ox, left, px, g, 1usize) {
                    let window = (row + ox - left) * g.channels + from.vector;
                    let hit = positions[window].equal(here);
                    sum += select_many(hit, Vector::cast_from(dy[window]), Vector::new(0.0f32));
                }
            }
        }
    }
    sum
}

/// Whether window `raised - shift` exists and covers the padded coordinate, given that it starts at or before it.
#[cube]
fn covers(
    raised: usize,
    #[comptime] shift: usize,
    padded: usize,
    #[comptime] g: Geometry,
    #[comptime] axis: usize,
) -> bool {
    let end = raised * comptime!(g.spec.stride[axis]) + comptime!(g.spec.kernel[axis]);
    raised >= shift
        && raised < comptime!(g.output[axis] + shift)
        && padded + comptime!(shift * g.spec.stride[axis]) < end
}

#[cube(launch_unchecked)]
fn max_pool_dx_kernel<F: Float, N: Size>(
    positions: &Array<Vector<u32, N>>,
    dy: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    #[comptime] g: Geometry,
) {
    if ABSOLUTE_POS < dx.len() {
        dx[ABSOLUTE_POS] = Vector::cast_from(gather(positions, dy, ABSOLUTE_POS, g));
    }
}

/// The number of values along one axis that the sum of window `i` is divided by.
#[cube]
fn divisor(i: usize, #[comptime] g: Geometry, #[comptime] axis: usize) -> f32 {
    let start = i * comptime!(g.spec.stride[axis]);
    let count = if comptime!(g.spec.kind == PoolKind::AverageWithPadding) {
        let padded = comptime!(g.before(axis) + g.input[axis] + g.after(axis));
        min(padded - start, comptime!(g.spec.kernel[axis]))
    } else {
        let end = min(start + comptime!(g.spec.kernel[axis]), comptime!(g.before(axis) + g.input[axis]));
        end - max(start, comptime!(g.before(axis)))
    };
    f32::cast_from(count)
}

#[cube(launch_unchecked)]
fn average_pool_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    #[comptime] g: Geometry,
) {
    if ABSOLUTE_POS < y.len() {
        let to = vector_coord(ABSOLUTE_POS, g.output, g.channels);
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let start = to.image * comptime!(g.input[0] * g.input[1]);
        let short = comptime!(is_unrolled(&g));
        #[unroll(short)]
        for ky in 0..comptime!(g.spec.kernel[0]) {
            let py = to.row * comptime!(g.spec.stride[0]) + ky;
            if is_inside(py, g, 0usize) {
                let row = start + unpadded(py, g, 0usize) * comptime!(g.input[1]);
                #[unroll(short)]
                for kx in 0..comptime!(g.spec.kernel[1]) {
                    let px = to.column * comptime!(g.spec.stride[1]) + kx;
                    if is_inside(px, g, 1usize) {
                        let at = row + unpadded(px, g, 1usize);
                        sum += Vector::cast_from(x[at * g.channels + to.vector]);
                    }
                }
            }
        }
        let share = 1.0f32 / (divisor(to.row, g, 0usize) * divisor(to.column, g, 1usize));
        y[ABSOLUTE_POS] = Vector::cast_from(sum * Vector::new(share));
    }
}

#[cube(launch_unchecked)]
fn average_pool_dx_kernel<F: Float, N: Size>(
    dy: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    #[comptime] g: Geometry,
) {
    if ABSOLUTE_POS < dx.len() {
        let from = vector_coord(ABSOLUTE_POS, g.input, g.channels);
        let above = comptime!(windows_per_pixel(&g, 0) - 1);
        let left = comptime!(windows_per_pixel(&g, 1) - 1);
        let py = from.row + comptime!(g.before(0));
        let px = from.column + comptime!(g.before(1));
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let short = comptime!(is_unrolled(&g));
        #[unroll(short)]
        for j in 0..comptime!(windows_per_pixel(&g, 0)) {
            let oy = py / comptime!(g.spec.stride[0]) + j;
            if covers(oy, above, py, g, 0usize) {
                let row = (from.image * comptime!(g.output[0]) + oy - above) * comptime!(g.output[1]);
                #[unroll(short)]
                for i in 0..comptime!(windows_per_pixel(&g, 1)) {
                    let ox = px / comptime!(g.spec.stride[1]) + i;
                    if covers(ox, left, px, g, 1usize) {
                        let share = 1.0f32 / (divisor(oy - above, g, 0usize) * divisor(ox - left, g, 1usize));
                        let near = Vector::<f32, N>::cast_from(dy[(row + ox - left) * g.channels + from.vector]);
                        sum += near * Vector::new(share);
                    }
                }
            }
        }
        dx[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}

impl<R: Runtime> Kernel<MaxPoolForward> for Gpu<R> {
    fn run(&self, op: &MaxPoolForward, [x]: [&Buffer; 1]) -> Result<([Buffer; 1], [IntBuffer; 1])> {
        let g = &op.geometry;
        let [_, len] = self.pool_lens(g)?;
        let y = self.empty(x.dtype(), len);
        let positions = self.empty_ints(len);
        if len > 0 {
            let width = self.vector_width(x.dtype(), &[g.channels]);
            let (count, dim) = self.unit_grid(len / width);
            // SAFETY: windows are read inside the image; units past the end do nothing.
            dispatch!(x.dtype(), F => unsafe {
                max_pool_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, x.arg(), y.arg(), positions.arg(), f32::NEG_INFINITY,
                    compile_time_geometry(g, width),
                );
            });
        }
        Ok(([y], [positions]))
    }
}

impl<R: Runtime> Kernel<MaxPoolBackward> for Gpu<R> {
    fn run(&self, op: &MaxPoolBackward, ([dy], [positions]): ([&Buffer; 1], [&IntBuffer; 1])) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        let [len, _] = self.pool_lens(g)?;
        let dx = self.empty(dy.dtype(), len);
        if len > 0 {
            let width = self.vector_width(dy.dtype(), &[g.channels]);
            let (count, dim) = self.unit_grid(len / width);
            // SAFETY: only existing windows are read; positions are compared, never used as indices.
            dispatch!(dy.dtype(), F => unsafe {
                max_pool_dx_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, positions.arg(), dy.arg(), dx.arg(), compile_time_geometry(g, width),
                );
            });
        }
        Ok([dx])
    }
}

impl<R: Runtime> Kernel<AveragePoolForward> for Gpu<R> {
    fn run(&self, op: &AveragePoolForward, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        let [_, len] = self.pool_lens(g)?;
        let y = self.empty(x.dtype(), len);
        if len > 0 {
            let width = self.vector_width(x.dtype(), &[g.channels]);
            let (count, dim) = self.unit_grid(len / width);
            // SAFETY: as for the maxima.
            dispatch!(x.dtype(), F => unsafe {
                average_pool_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, x.arg(), y.arg(), compile_time_geometry(g, width),
                );
            });
        }
        Ok([y])
    }
}

impl<R: Runtime> Kernel<AveragePoolBackward> for Gpu<R> {
    fn run(&self, op: &AveragePoolBackward, [dy]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        let [len, _] = self.pool_lens(g)?;
        let dx = self.empty(dy.dtype(), len);
        if len > 0 {
            let width = self.vector_width(dy.dtype(), &[g.channels]);
            let (count, dim) = self.unit_grid(len / width);
            // SAFETY: as for the maxima.
            dispatch!(dy.dtype(), F => unsafe {
                average_pool_dx_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, dy.arg(), dx.arg(), compile_time_geometry(g, width),
                );
            });
        }
        Ok([dx])
    }
}

impl<R: Runtime> Gpu<R> {
    /// The number of values in the input and in the output, if kernels can count them and the padding.
    pub(super) fn pool_lens(&self, g: &Geometry) -> Result<[usize; 2]> {
        for axis in 0..2 {
            let reach = g.before(axis) + g.input[axis] + g.after(axis) + g.spec.kernel[axis];
            if i32::try_from(reach).is_err() {
                let what = format!("windows and padding must be counted with 32 bits, got {:?}", g.spec);
                return Err(Error::argument("pool", what));
            }
        }
        let lens = [g.x_shape(), g.y_shape()].map(|shape| shape.iter().product());
        lens.iter().try_for_each(|&len| self.addressable("pool", len))?;
        Ok(lens)
    }
}
