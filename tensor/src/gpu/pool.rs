//! Max and average pooling: one unit a vector of channels of the output, and of the input in the backward, which
//! gathers: each place looks at the windows that hold it, in the order in which the CPU adds them.
//!
//! Overlapping windows read a value again from the caches, so that memory sees each input and output once. Geometry is
//! compiled in: divisions by constants are multiplications.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Gpu, IntBuffer};
use crate::ops::pool::{AveragePoolBackward, AveragePoolForward, Geometry, MaxPoolBackward, MaxPoolForward, PoolKind};
use crate::{Error, Kernel, Result};

/// Loops over windows of at most this many places are unrolled.
const UNROLLED: usize = 16;

/// What a kernel is compiled for: any number of images; channels are counted in vectors.
pub(super) fn compiled(g: &Geometry, width: usize) -> Geometry {
    let mut g = Geometry { n: 0, channels: g.channels / width, ..*g };
    for axis in 0..2 {
        if g.output[axis] == 1 {
            // The stride leads nowhere, and may be anything.
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
pub(super) fn unrolled(g: &Geometry) -> bool {
    g.spec.kernel[0] * g.spec.kernel[1] <= UNROLLED
}

/// Windows along an axis that may hold a place.
fn holders(g: &Geometry, axis: usize) -> usize {
    g.spec.kernel[axis].div_ceil(g.spec.stride[axis])
}

/// A vector's place: image, row, column, and number among the place's vectors.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    pub image: usize,
    pub row: usize,
    pub column: usize,
    pub vector: usize,
}

/// The place of the vector at `at` in maps of `size`.
#[cube]
pub(super) fn place(at: usize, #[comptime] size: [usize; 2], #[comptime] vectors: usize) -> Place {
    let flat = at / vectors;
    let row = flat / comptime!(size[1]);
    Place {
        image: row / comptime!(size[0]),
        row: row % comptime!(size[0]),
        column: flat % comptime!(size[1]),
        vector: at % vectors,
    }
}

/// Whether a place, counted from the start of the leading padding, is in the image.
#[cube]
pub(super) fn in_image(padded: usize, #[comptime] g: Geometry, #[comptime] axis: usize) -> bool {
    if comptime!(overhangs(&g, axis)) {
        padded >= comptime!(g.before(axis)) && padded < comptime!(g.before(axis) + g.input[axis])
    } else {
        true.runtime()
    }
}

/// A place in the image, counted from the start of the leading padding, as counted from the image's. Saturating:
/// constants are worked out while a kernel is expanded, also behind a condition that is false.
#[cube]
pub(super) fn from_padded(padded: usize, #[comptime] g: Geometry, #[comptime] axis: usize) -> usize {
    if comptime!(g.before(axis) == 0) {
        padded
    } else {
        max(padded, comptime!(g.before(axis))) - comptime!(g.before(axis))
    }
}

/// The first place in the image of window `i`.
#[cube]
pub(super) fn first_inside(i: usize, #[comptime] g: Geometry, #[comptime] axis: usize) -> usize {
    max(i * comptime!(g.spec.stride[axis]), comptime!(g.before(axis))) - comptime!(g.before(axis))
}

/// Takes `value` where it is larger, or the first NaN.
#[cube]
pub(super) fn take_larger<N: Size>(
    best: &mut Vector<f32, N>,
    positions: &mut Vector<u32, N>,
    value: Vector<f32, N>,
    position: Vector<u32, N>,
) {
    let keep = value.less_equal(*best).or(Vector::is_nan(*best));
    *best = select_many(keep, *best, value);
    *positions = select_many(keep, *positions, position);
}

/// `lowest` is minus infinity, which some shading languages cannot write.
#[cube(launch_unchecked)]
fn max_pool_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    positions: &mut Array<Vector<u32, N>>,
    lowest: f32,
    #[comptime] g: Geometry,
) {
    if ABSOLUTE_POS < y.len() {
        let to = place(ABSOLUTE_POS, g.output, g.channels);
        let first = first_inside(to.row, g, 0usize) * comptime!(g.input[1]) + first_inside(to.column, g, 1usize);
        let mut best = Vector::<f32, N>::new(lowest);
        let mut from = Vector::<u32, N>::new(first as u32);
        let start = to.image * comptime!(g.input[0] * g.input[1]);
        let short = comptime!(unrolled(&g));
        #[unroll(short)]
        for ky in 0..comptime!(g.spec.kernel[0]) {
            let py = to.row * comptime!(g.spec.stride[0]) + ky;
            if in_image(py, g, 0usize) {
                let row = from_padded(py, g, 0usize) * comptime!(g.input[1]);
                #[unroll(short)]
                for kx in 0..comptime!(g.spec.kernel[1]) {
                    let px = to.column * comptime!(g.spec.stride[1]) + kx;
                    if in_image(px, g, 1usize) {
                        let at = row + from_padded(px, g, 1usize);
                        let value = Vector::cast_from(x[(start + at) * g.channels + to.vector]);
                        take_larger::<N>(&mut best, &mut from, value, Vector::new(at as u32));
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
    let from = place(at, g.input, g.channels);
    let here = Vector::<u32, N>::new((from.row * comptime!(g.input[1]) + from.column) as u32);
    let (above, left) = comptime!((holders(&g, 0) - 1, holders(&g, 1) - 1));
    let py = from.row + comptime!(g.before(0));
    let px = from.column + comptime!(g.before(1));
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let short = comptime!(unrolled(&g));
    #[unroll(short)]
    for j in 0..comptime!(holders(&g, 0)) {
        let oy = py / comptime!(g.spec.stride[0]) + j;
        if holds(oy, above, py, g, 0usize) {
            let row = (from.image * comptime!(g.output[0]) + oy - above) * comptime!(g.output[1]);
            #[unroll(short)]
            for i in 0..comptime!(holders(&g, 1)) {
                let ox = px / comptime!(g.spec.stride[1]) + i;
                if holds(ox, left, px, g, 1usize) {
                    let window = (row + ox - left) * g.channels + from.vector;
                    let hit = positions[window].equal(here);
                    sum += select_many(hit, Vector::cast_from(dy[window]), Vector::new(0.0f32));
                }
            }
        }
    }
    sum
}

/// Whether window `raised - shift` is one, and reaches to the padded place; it starts at or before it.
#[cube]
fn holds(
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

/// What the sum along one axis of window `i` is divided by.
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
        let to = place(ABSOLUTE_POS, g.output, g.channels);
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let start = to.image * comptime!(g.input[0] * g.input[1]);
        let short = comptime!(unrolled(&g));
        #[unroll(short)]
        for ky in 0..comptime!(g.spec.kernel[0]) {
            let py = to.row * comptime!(g.spec.stride[0]) + ky;
            if in_image(py, g, 0usize) {
                let row = start + from_padded(py, g, 0usize) * comptime!(g.input[1]);
                #[unroll(short)]
                for kx in 0..comptime!(g.spec.kernel[1]) {
                    let px = to.column * comptime!(g.spec.stride[1]) + kx;
                    if in_image(px, g, 1usize) {
                        let at = row + from_padded(px, g, 1usize);
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
        let from = place(ABSOLUTE_POS, g.input, g.channels);
        let (above, left) = comptime!((holders(&g, 0) - 1, holders(&g, 1) - 1));
        let py = from.row + comptime!(g.before(0));
        let px = from.column + comptime!(g.before(1));
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let short = comptime!(unrolled(&g));
        #[unroll(short)]
        for j in 0..comptime!(holders(&g, 0)) {
            let oy = py / comptime!(g.spec.stride[0]) + j;
            if holds(oy, above, py, g, 0usize) {
                let row = (from.image * comptime!(g.output[0]) + oy - above) * comptime!(g.output[1]);
                #[unroll(short)]
                for i in 0..comptime!(holders(&g, 1)) {
                    let ox = px / comptime!(g.spec.stride[1]) + i;
                    if holds(ox, left, px, g, 1usize) {
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
        let (y, positions) = (self.empty(x.dtype(), len), self.empty_ints(len));
        if len > 0 {
            let width = self.vector_width(x.dtype(), &[g.channels]);
            let (count, dim) = self.cover(len / width);
            // SAFETY: windows are read where they lie in the image; units past the end do nothing.
            dispatch!(x.dtype(), F => unsafe {
                max_pool_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, x.arg(), y.arg(), positions.arg(), f32::NEG_INFINITY,
                    compiled(g, width),
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
            let (count, dim) = self.cover(len / width);
            // SAFETY: only windows that there are are read, and positions are compared, never followed.
            dispatch!(dy.dtype(), F => unsafe {
                max_pool_dx_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, positions.arg(), dy.arg(), dx.arg(), compiled(g, width),
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
            let (count, dim) = self.cover(len / width);
            // SAFETY: as for the maxima.
            dispatch!(x.dtype(), F => unsafe {
                average_pool_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, x.arg(), y.arg(), compiled(g, width),
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
            let (count, dim) = self.cover(len / width);
            // SAFETY: as for the maxima.
            dispatch!(dy.dtype(), F => unsafe {
                average_pool_dx_kernel::launch_unchecked::<F, R>(
                    self.client(), count, dim, width, dy.arg(), dx.arg(), compiled(g, width),
                );
            });
        }
        Ok([dx])
    }
}

impl<R: Runtime> Gpu<R> {
    /// Values of input and output, if kernels can count them and the places around the maps.
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
