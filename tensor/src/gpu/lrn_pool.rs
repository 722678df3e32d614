//! Local response normalisation fused with max-pooling, forward and backward. The normalised values and their gradient,
//! four times as many as the maxima, are never written to memory, and the base is computed again from x, not saved.
//!
//! Memory traffic for windows of 3 with stride 2 in `bf16`, in bytes per value of x: the forward reads 2 and writes 1.5
//! (maxima and positions), the backward reads 3.5 and writes 2. Separate kernels read 6.5 and write 3.5, then read 9.5 and
//! write 6.

use cubecl::prelude::*;

use super::lrn::{AcrossConfig, Constants, base_across, constants, gradient, powers, sum_shared};
use super::pool::{
    compile_time_geometry, first_inside, gather, is_inside, is_unrolled, max_with_position, overhangs, unpadded,
    vector_coord,
};
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::lrn::Lrn;
use crate::ops::lrn_pool::{LrnMaxPoolBackward, LrnMaxPoolForward, LrnMaxPoolReluBiasBackward, not_fused};
use crate::ops::pool::Geometry;
use crate::ops::relu_bias::ReluBiasBackward;
use crate::{Kernel, Result};

/// Whether the last row of a window is the first of the window below, and inside the image. Its maximum is then reused.
fn reuses_last_row(g: &Geometry) -> bool {
    g.spec.kernel[0] == g.spec.stride[0] + 1 && !overhangs(g, 0)
}

/// The number of windows, one below the other, that one unit computes. With 4, a 3x3 window costs 6.75 normalisations
/// instead of 9; with fewer, there are more units.
fn windows_per_unit(g: &Geometry) -> usize {
    if reuses_last_row(g) { g.output[0].min(4) } else { 1 }
}

/// The number of units for one column of windows.
fn units_per_column(g: &Geometry) -> usize {
    g.output[0].div_ceil(windows_per_unit(g))
}

/// Each unit computes some windows of one vector of channels. Values are normalised when they are compared.
#[cube(launch_unchecked)]
fn lrn_max_pool_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    positions: &mut Array<Vector<u32, N>>,
    constants: &Constants,
    lowest: f32,
    units: usize,
    #[comptime] g: Geometry,
    #[comptime] config: AcrossConfig,
) {
    if ABSOLUTE_POS < units {
        let unit = vector_coord(ABSOLUTE_POS, comptime!([units_per_column(&g), g.output[1]]), g.channels);
        let first_column = first_inside(unit.column, g, 1usize);
        let image = unit.image * comptime!(g.input[0] * g.input[1]);
        let lowest = Vector::<f32, N>::new(lowest);
        let short = comptime!(is_unrolled(&g));
        let mut row_best = lowest;
        let mut row_from = Vector::<u32, N>::new(0u32);
        let first_window = unit.row * comptime!(windows_per_unit(&g));
        let end_window = min(first_window + comptime!(windows_per_unit(&g)), comptime!(g.output[0]));
        for window in first_window..end_window {
            let first = first_inside(window, g, 0usize) * comptime!(g.input[1]) + first_column;
            let mut best = lowest;
            let mut from = Vector::<u32, N>::new(first as u32);
            let mut start = 0usize;
            if comptime!(reuses_last_row(&g)) && window > first_window {
                best = row_best;
                from = row_from;
                start = 1usize;
            }
            for ky in start..comptime!(g.spec.kernel[0]) {
                let py = window * comptime!(g.spec.stride[0]) + ky;
                if is_inside(py, g, 0usize) {
                    let row = unpadded(py, g, 0usize) * comptime!(g.input[1]);
                    row_best = lowest;
                    row_from = Vector::new((row + first_column) as u32);
                    #[unroll(short)]
                    for kx in 0..comptime!(g.spec.kernel[1]) {
                        let px = unit.column * comptime!(g.spec.stride[1]) + kx;
                        if is_inside(px, g, 1usize) {
                            let position = row + unpadded(px, g, 1usize);
                            let at = (image + position) * g.channels + unit.vector;
                            let base = base_across(x, at, constants, config);
                            let (power, _) = powers(base, constants.beta, config.roots);
                            let value = Vector::<f32, N>::cast_from(x[at]) * power;
                            max_with_position::<N>(&mut row_best, &mut row_from, value, Vector::new(position as u32));
                        }
                    }
                    max_with_position::<N>(&mut best, &mut from, row_best, row_from);
                }
            }
            let to = unit.image * comptime!(g.output[0]) + window;
            let to = (to * comptime!(g.output[1]) + unit.column) * g.channels + unit.vector;
            y[to] = Vector::cast_from(best);
            positions[to] = from;
        }
    }
}

/// Each unit computes one vector of channels of the input's gradient; a cube consists of whole pixels.
#[cube(launch_unchecked)]
fn lrn_max_pool_dx_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    positions: &Array<Vector<u32, N>>,
    dy: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] g: Geometry,
    #[comptime] config: AcrossConfig,
    #[comptime] units: usize,
) {
    let mut value = Vector::<f32, N>::new(0.0f32);
    let mut scaled = Vector::<f32, N>::new(0.0f32);
    let mut term = Vector::<f32, N>::new(0.0f32);
    if ABSOLUTE_POS < dx.len() {
        value = Vector::cast_from(x[ABSOLUTE_POS]);
        let base = base_across(x, ABSOLUTE_POS, constants, config);
        let (power, inverse) = powers(base, constants.beta, config.roots);
        scaled = gather(positions, dy, ABSOLUTE_POS, g) * power;
        term = scaled * value * inverse;
    }
    let sum = sum_shared(term, comptime!(config.mirrored()), units);
    if ABSOLUTE_POS < dx.len() {
        dx[ABSOLUTE_POS] = Vector::cast_from(gradient(scaled, value, sum, constants));
    }
}

/// The configuration of the fused kernels.
struct LrnPoolConfig {
    config: AcrossConfig,
    units: usize,
    width: usize,
}

impl<R: Runtime> Gpu<R> {
    fn lrn_pool_config(&self, lrn: &Lrn, g: &Geometry, dtype: Dtype) -> Option<LrnPoolConfig> {
        let width = self.vector_width(dtype, &[g.channels]);
        let config = AcrossConfig::of(lrn, g.channels, width)?;
        Some(LrnPoolConfig { config, units: config.units()?, width })
    }
}

impl<R: Runtime> Kernel<LrnMaxPoolForward> for Gpu<R> {
    fn run(&self, op: &LrnMaxPoolForward, [x]: [&Buffer; 1]) -> Result<([Buffer; 1], [IntBuffer; 1])> {
        let g = &op.geometry;
        let [_, len] = self.pool_lens(g)?;
        let x = self.cast(x, self.activation_dtype());
        let LrnPoolConfig { config, width, .. } = self.lrn_pool_config(&op.lrn, g, x.dtype()).ok_or_else(not_fused)?;
        let y = self.empty(x.dtype(), len);
        let positions = self.empty_ints(len);
        if len == 0 {
            return Ok(([y], [positions]));
        }
        let geometry = compile_time_geometry(g, width);
        let units = g.n * units_per_column(&geometry) * g.output[1] * geometry.channels;
        let (count, dim) = self.unit_grid(units);
        let constants = constants(&op.lrn);
        // SAFETY: pixels are read inside the image, neighbours inside their pixel, and a unit's windows end with those of
        // the output; units past the end do nothing.
        dispatch!(x.dtype(), F => unsafe {
            lrn_max_pool_kernel::launch_unchecked::<F, R>(
                self.client(), count, dim, width, x.arg(), y.arg(), positions.arg(), constants, f32::NEG_INFINITY, units,
                geometry, config,
            );
        });
        Ok(([y], [positions]))
    }

    fn is_fused(&self, op: &LrnMaxPoolForward) -> bool {
        self.lrn_pool_config(&op.lrn, &op.geometry, self.activation_dtype()).is_some()
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
        let LrnPoolConfig { config, units, width } =
            self.lrn_pool_config(&op.lrn, g, x.dtype()).ok_or_else(not_fused)?;
        if len == 0 {
            return Ok([self.empty(x.dtype(), 0)]);
        }
        let dx = self.empty(x.dtype(), len);
        let dim = CubeDim::new_1d(units as u32);
        let count = cubecl::calculate_cube_count_elemwise(self.client(), len / width, dim);
        let constants = constants(&op.lrn);
        // SAFETY: as in the forward and in the backward of max-pooling; pixels do not cross cubes, so shared memory is
        // read within its length.
        dispatch!(x.dtype(), F => unsafe {
            lrn_max_pool_dx_kernel::launch_unchecked::<F, R>(
                self.client(), count, dim, width, x.arg(), positions.arg(), dy.arg(), dx.arg(), constants,
                compile_time_geometry(g, width), config, units,
            );
        });
        Ok([dx])
    }
}

/// Runs two kernels: the sums need another assignment of units than the values.
impl<R: Runtime> Kernel<LrnMaxPoolReluBiasBackward> for Gpu<R> {
    fn run(&self, op: &LrnMaxPoolReluBiasBackward, operands: ([&Buffer; 2], [&IntBuffer; 1])) -> Result<[Buffer; 2]> {
        let &LrnMaxPoolReluBiasBackward { lrn, geometry } = op;
        let ([x, _], _) = operands;
        let [mut dx] = self.run(&LrnMaxPoolBackward { lrn, geometry }, operands)?;
        let rows = geometry.n * geometry.input[0] * geometry.input[1];
        let [sums] = ReluBiasBackward { rows, channels: geometry.channels }.run_parts(self, &mut dx, x)?;
        Ok([dx, sums])
    }
}
