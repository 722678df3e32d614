//! Sums in registers: each unit has a small block of the result. Runs on every device.

use cubecl::prelude::*;

use super::kernel::GemmConfig;
use super::tile::{Inner, Staging};
use super::view::Axis;

/// Rows and columns of a unit's block.
pub(crate) fn block(config: &GemmConfig) -> [u32; 2] {
    match config.tile.inner {
        Inner::Units { m, n } => [m, n],
        Inner::Fragments { .. } => [0, 0],
    }
}

/// The number of units along the rows and along the columns.
pub(crate) fn grid(config: &GemmConfig) -> [u32; 2] {
    let [m, n] = block(config);
    [config.tile.m / m, config.tile.n / n]
}

/// The number of rows of a unit's block that are adjacent in the result.
pub(crate) fn contiguous_rows(s: &Staging) -> u32 {
    if s.operand.contiguous == Axis::Rows { s.operand.width } else { 1 }
}

/// The row of the tile that is row `i` of the block of unit `t`. Units take turns, `contiguous` rows each, so that
/// neighbouring units read adjacent shared memory.
#[cube]
pub(crate) fn row_of_unit(t: u32, #[comptime] i: u32, #[comptime] units: u32, #[comptime] contiguous: u32) -> u32 {
    t * contiguous + comptime!(i / contiguous * contiguous * units + i % contiguous)
}

/// The number of depths that are read at a time: the length of a vector along the depth.
fn depth_step(config: &GemmConfig) -> u32 {
    let depth_width = |s: &Staging| if s.operand.contiguous == Axis::Depth { s.operand.width } else { 1 };
    depth_width(&config.a).max(depth_width(&config.b))
}

/// Adds the product of two stages to `values`, depth by depth.
#[cube]
pub(crate) fn multiply<S: Float, NA: Size, NB: Size>(
    a: &SharedMemory<Vector<S, NA>>,
    a_start: u32,
    b: &SharedMemory<Vector<S, NB>>,
    b_start: u32,
    values: &mut Array<f32>,
    #[comptime] config: GemmConfig,
) {
    let rows = comptime!(block(&config)[0]);
    let columns = comptime!(block(&config)[1]);
    let depth_step = comptime!(depth_step(&config));
    let units_m = comptime!(grid(&config)[0]);
    let units_n = comptime!(grid(&config)[1]);
    let m = UNIT_POS / units_n;
    let n = UNIT_POS % units_n;
    let mut left = Array::<f32>::new(comptime!((rows * depth_step) as usize));
    let mut right = Array::<f32>::new(comptime!((columns * depth_step) as usize));
    for step in 0..comptime!(config.tile.k / depth_step) {
        let k = step * depth_step;
        read::<S, NA>(a, a_start, m, k, &mut left, rows, units_m, depth_step, config.a);
        read::<S, NB>(b, b_start, n, k, &mut right, columns, units_n, depth_step, config.b);
        #[unroll]
        for depth in 0..depth_step {
            #[unroll]
            for i in 0..rows {
                #[unroll]
                for j in 0..columns {
                    let at = comptime!((i * columns + j) as usize);
                    let l = left[comptime!((i * depth_step + depth) as usize)];
                    let r = right[comptime!((j * depth_step + depth) as usize)];
                    values[at] = fma(l, r, values[at]);
                }
            }
        }
    }
}

/// Reads `count` rows of unit `t` for `depth_step` depths from `k` into `values[row * depth_step + depth]`.
#[cube]
fn read<S: Float, N: Size>(
    shared: &SharedMemory<Vector<S, N>>,
    start: u32,
    t: u32,
    k: u32,
    values: &mut Array<f32>,
    #[comptime] count: u32,
    #[comptime] units: u32,
    #[comptime] depth_step: u32,
    #[comptime] s: Staging,
) {
    let width = comptime!(s.operand.width);
    match comptime!(s.operand.contiguous) {
        Axis::Depth =>
        {
            #[unroll]
            for i in 0..count {
                let line = start + row_of_unit(t, i, units, 1u32) * comptime!(s.line_stride());
                #[unroll]
                for part in 0..comptime!(depth_step / width) {
                    let vector = shared[(line + k / width + part) as usize];
                    #[unroll]
                    for e in 0..width {
                        values[comptime!((i * depth_step + part * width + e) as usize)] =
                            f32::cast_from(vector[comptime!(e as usize)]);
                    }
                }
            }
        }
        Axis::Rows =>
        {
            #[unroll]
            for depth in 0..depth_step {
                let line = start + (k + depth) * comptime!(s.line_stride());
                #[unroll]
                for part in 0..comptime!(count / width) {
                    let vector = shared[(line + comptime!(part * units) + t) as usize];
                    #[unroll]
                    for e in 0..width {
                        values[comptime!(((part * width + e) * depth_step + depth) as usize)] =
                            f32::cast_from(vector[comptime!(e as usize)]);
                    }
                }
            }
        }
    }
}
