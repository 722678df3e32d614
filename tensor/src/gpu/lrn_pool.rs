//! Local response normalisation and max-pooling in one launch, forward and backward: neither the normalised maps nor
//! their gradient, four times the maxima, touch memory, and the base is made again from x instead of being kept.
//!
//! For windows of 3 with stride 2 in `bf16`, bytes a value of x: forward 2 read, 1.5 written for the maxima with their
//! positions; backward 3.5 read, 2 written. In turn it would be 6.5, 3.5 and 9.5, 6.

use cubecl::prelude::*;

use super::lrn::{Constants, Row, base_across, constants, gradient, powers, sum_shared};
use super::pool::{compiled, first_inside, from_padded, gather, in_image, overhangs, place, take_larger, unrolled};
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::lrn::Lrn;
use crate::ops::lrn_pool::{LrnMaxPoolBackward, LrnMaxPoolForward, LrnMaxPoolReluBiasBackward, not_fused};
use crate::ops::pool::Geometry;
use crate::ops::relu_bias::ReluBiasBackward;
use crate::{Kernel, Result};

/// Whether a window's last row of places is the first of the window below, inside the image for both: the largest of
/// it is then carried over.
fn carries(g: &Geometry) -> bool {
    g.spec.kernel[0] == g.spec.stride[0] + 1 && !overhangs(g, 0)
}

/// Windows below each other that one unit walks down. More save more of the normalisations that neighbouring strips
/// repeat: of a 3x3 window 9 are 6.75 with 4. Fewer give more units.
fn strip(g: &Geometry) -> usize {
    if carries(g) { g.output[0].min(4) } else { 1 }
}

fn strips(g: &Geometry) -> usize {
    g.output[0].div_ceil(strip(g))
}

/// One unit a vector of channels and a strip of windows. Values are normalised where they are compared.
#[cube(launch_unchecked)]
fn lrn_max_pool_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    positions: &mut Array<Vector<u32, N>>,
    constants: &Constants,
    lowest: f32,
    units: usize,
    #[comptime] g: Geometry,
    #[comptime] row: Row,
) {
    if ABSOLUTE_POS < units {
        let unit = place(ABSOLUTE_POS, comptime!([strips(&g), g.output[1]]), g.channels);
        let first_column = first_inside(unit.column, g, 1usize);
        let image = unit.image * comptime!(g.input[0] * g.input[1]);
        let lowest = Vector::<f32, N>::new(lowest);
        let short = comptime!(unrolled(&g));
        let mut row_best = lowest;
        let mut row_from = Vector::<u32, N>::new(0u32);
        let first_window = unit.row * comptime!(strip(&g));
        let end_window = min(first_window + comptime!(strip(&g)), comptime!(g.output[0]));
        for window in first_window..end_window {
            let first = first_inside(window, g, 0usize) * comptime!(g.input[1]) + first_column;
            let mut best = lowest;
            let mut from = Vector::<u32, N>::new(first as u32);
            let mut start = 0usize;
            if comptime!(carries(&g)) && window > first_window {
                best = row_best;
                from = row_from;
                start = 1usize;
            }
            for ky in start..comptime!(g.spec.kernel[0]) {
                let py = window * comptime!(g.spec.stride[0]) + ky;
                if in_image(py, g, 0usize) {
                    let places = from_padded(py, g, 0usize) * comptime!(g.input[1]);
                    row_best = lowest;
                    row_from = Vector::new((places + first_column) as u32);
                    #[unroll(short)]
                    for kx in 0..comptime!(g.spec.kernel[1]) {
                        let px = unit.column * comptime!(g.spec.stride[1]) + kx;
                        if in_image(px, g, 1usize) {
                            let here = places + from_padded(px, g, 1usize);
                            let at = (image + here) * g.channels + unit.vector;
                            let base = base_across(x, at, constants, row);
                            let (power, _) = powers(base, constants.beta, row.roots);
                            let value = Vector::<f32, N>::cast_from(x[at]) * power;
                            take_larger::<N>(&mut row_best, &mut row_from, value, Vector::new(here as u32));
                        }
                    }
                    take_larger::<N>(&mut best, &mut from, row_best, row_from);
                }
            }
            let to = unit.image * comptime!(g.output[0]) + window;
            let to = (to * comptime!(g.output[1]) + unit.column) * g.channels + unit.vector;
            y[to] = Vector::cast_from(best);
            positions[to] = from;
        }
    }
}

/// One unit a vector of channels of the input; a cube holds whole places.
#[cube(launch_unchecked)]
fn lrn_max_pool_dx_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    positions: &Array<Vector<u32, N>>,
    dy: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] g: Geometry,
    #[comptime] row: Row,
    #[comptime] units: usize,
) {
    let mut value = Vector::<f32, N>::new(0.0f32);
    let mut scaled = Vector::<f32, N>::new(0.0f32);
    let mut term = Vector::<f32, N>::new(0.0f32);
    if ABSOLUTE_POS < dx.len() {
        value = Vector::cast_from(x[ABSOLUTE_POS]);
        let base = base_across(x, ABSOLUTE_POS, constants, row);
        let (power, inverse) = powers(base, constants.beta, row.roots);
        scaled = gather(positions, dy, ABSOLUTE_POS, g) * power;
        term = scaled * value * inverse;
    }
    let sum = sum_shared(term, comptime!(row.mirrored()), units);
    if ABSOLUTE_POS < dx.len() {
        dx[ABSOLUTE_POS] = Vector::cast_from(gradient(scaled, value, sum, constants));
    }
}

/// How the kernels run on vectors of `width` channels; None: in turn.
struct Plan {
    row: Row,
    units: usize,
    width: usize,
}

impl<R: Runtime> Gpu<R> {
    fn lrn_pool_plan(&self, lrn: &Lrn, g: &Geometry, dtype: Dtype) -> Option<Plan> {
        let width = self.vector_width(dtype, &[g.channels]);
        let row = Row::of(lrn, g.channels, width)?;
        Some(Plan { row, units: row.units()?, width })
    }
}

impl<R: Runtime> Kernel<LrnMaxPoolForward> for Gpu<R> {
    fn run(&self, op: &LrnMaxPoolForward, [x]: [&Buffer; 1]) -> Result<([Buffer; 1], [IntBuffer; 1])> {
        let g = &op.geometry;
        let [_, len] = self.pool_lens(g)?;
        let x = self.cast(x, self.activation_dtype());
        let Plan { row, width, .. } = self.lrn_pool_plan(&op.lrn, g, x.dtype()).ok_or_else(not_fused)?;
        let y = self.empty(x.dtype(), len);
        let positions = self.empty_ints(len);
        if len == 0 {
            return Ok(([y], [positions]));
        }
        let compiled = compiled(g, width);
        let units = g.n * strips(&compiled) * g.output[1] * compiled.channels;
        let (count, dim) = self.cover(units);
        let constants = constants(&op.lrn);
        // SAFETY: places are read where they lie in the image, neighbours where they are of the same place, and the
        // windows of a strip end with the output's; units past the end do nothing.
        dispatch!(x.dtype(), F => unsafe {
            lrn_max_pool_kernel::launch_unchecked::<F, R>(
                self.client(), count, dim, width, x.arg(), y.arg(), positions.arg(), constants, f32::NEG_INFINITY, units,
                compiled, row,
            );
        });
        Ok(([y], [positions]))
    }

    fn is_fused(&self, op: &LrnMaxPoolForward) -> bool {
        self.lrn_pool_plan(&op.lrn, &op.geometry, self.activation_dtype()).is_some()
    }
}

impl<R: Runtime> Kernel<LrnMaxPoolBackward> for Gpu<R> {
    fn run(
        &self,
        op: &LrnMaxPoolBackward,
        ([x, dy], [positions]): ([&Buffer; 2], [&IntBuffer; 1]),
    ) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        let [len, _] = self.pool_lens(g)?;
        let x = self.cast(x, self.activation_dtype());
        let dy = self.cast(dy, x.dtype());
        let Plan { row, units, width } = self.lrn_pool_plan(&op.lrn, g, x.dtype()).ok_or_else(not_fused)?;
        if len == 0 {
            return Ok([self.empty(x.dtype(), 0)]);
        }
        let dx = self.empty(x.dtype(), len);
        let dim = CubeDim::new_1d(units as u32);
        let count = cubecl::calculate_cube_count_elemwise(self.client(), len / width, dim);
        let constants = constants(&op.lrn);
        // SAFETY: as in the forward and in the pooling's backward; rows do not cross cubes, so shared memory is read
        // within its length.
        dispatch!(x.dtype(), F => unsafe {
            lrn_max_pool_dx_kernel::launch_unchecked::<F, R>(
                self.client(), count, dim, width, x.arg(), positions.arg(), dy.arg(), dx.arg(), constants,
                compiled(g, width), row, units,
            );
        });
        Ok([dx])
    }
}

/// Two kernels: sums go by other units than the maps.
impl<R: Runtime> Kernel<LrnMaxPoolReluBiasBackward> for Gpu<R> {
    fn run(&self, op: &LrnMaxPoolReluBiasBackward, operands: ([&Buffer; 2], [&IntBuffer; 1])) -> Result<[Buffer; 2]> {
        let &LrnMaxPoolReluBiasBackward { lrn, geometry } = op;
        let ([x, _], _) = operands;
        let [mut dx] = self.run(&LrnMaxPoolBackward { lrn, geometry }, operands)?;
        let rows = geometry.n * geometry.input[0] * geometry.input[1];
        let [sums] = ReluBiasBackward { rows, channels: geometry.channels }.run_parts(self, &mut dx, x)?;
        Ok([dx, sums])
    }

    fn is_fused(&self, _: &LrnMaxPoolReluBiasBackward) -> bool {
        false
    }
}
