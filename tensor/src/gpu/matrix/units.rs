//! Sums in registers, a small block of the result a unit: what runs everywhere.

use cubecl::prelude::*;

use super::kernel::Plan;
use super::tile::{Inner, Staging};
use super::view::Along;

/// Rows and columns that a unit sums.
pub(crate) fn block(plan: &Plan) -> [u32; 2] {
    match plan.tile.inner {
        Inner::Units { m, n } => [m, n],
        Inner::Fragments { .. } => [0, 0],
    }
}

/// Units along the rows and the columns.
pub(crate) fn grid(plan: &Plan) -> [u32; 2] {
    let [m, n] = block(plan);
    [plan.tile.m / m, plan.tile.n / n]
}

/// Neighbours in a unit's block that are neighbours in the result.
pub(crate) fn run(s: &Staging) -> u32 {
    if s.operand.along == Along::Rows { s.operand.width } else { 1 }
}

/// The row of the tile that is number `i` of unit `t` of `units`. Units take turns, so that they read shared memory side
/// by side.
#[cube]
pub(crate) fn row_of_unit(t: u32, #[comptime] i: u32, #[comptime] units: u32, #[comptime] run: u32) -> u32 {
    t * run + comptime!(i / run * run * units + i % run)
}

/// Depths that are read at a time: as far as a vector reaches.
fn stretch(plan: &Plan) -> u32 {
    let along = |s: &Staging| if s.operand.along == Along::Depth { s.operand.width } else { 1 };
    along(&plan.a).max(along(&plan.b))
}

/// Adds the product of two stages to `values`, depth by depth.
#[cube]
pub(crate) fn multiply<S: Float, NA: Size, NB: Size>(
    a: &SharedMemory<Vector<S, NA>>,
    a_start: u32,
    b: &SharedMemory<Vector<S, NB>>,
    b_start: u32,
    values: &mut Array<f32>,
    #[comptime] plan: Plan,
) {
    let rows = comptime!(block(&plan)[0]);
    let columns = comptime!(block(&plan)[1]);
    let stretch = comptime!(stretch(&plan));
    let m = UNIT_POS / comptime!(grid(&plan)[1]);
    let n = UNIT_POS % comptime!(grid(&plan)[1]);
    let mut left = Array::<f32>::new(comptime!((rows * stretch) as usize));
    let mut right = Array::<f32>::new(comptime!((columns * stretch) as usize));
    for step in 0..comptime!(plan.tile.k / stretch) {
        let k = step * stretch;
        read::<S, NA>(a, a_start, m, k, &mut left, rows, comptime!(grid(&plan)[0]), stretch, plan.a);
        read::<S, NB>(b, b_start, n, k, &mut right, columns, comptime!(grid(&plan)[1]), stretch, plan.b);
        #[unroll]
        for depth in 0..stretch {
            #[unroll]
            for i in 0..rows {
                #[unroll]
                for j in 0..columns {
                    let at = comptime!((i * columns + j) as usize);
                    let l = left[comptime!((i * stretch + depth) as usize)];
                    let r = right[comptime!((j * stretch + depth) as usize)];
                    values[at] = fma(l, r, values[at]);
                }
            }
        }
    }
}

/// `count` rows of unit `t`, for `stretch` depths from `k`: `values[row * stretch + depth]`.
#[cube]
fn read<S: Float, N: Size>(
    shared: &SharedMemory<Vector<S, N>>,
    start: u32,
    t: u32,
    k: u32,
    values: &mut Array<f32>,
    #[comptime] count: u32,
    #[comptime] units: u32,
    #[comptime] stretch: u32,
    #[comptime] s: Staging,
) {
    let width = comptime!(s.operand.width);
    match comptime!(s.operand.along) {
        Along::Depth =>
        {
            #[unroll]
            for i in 0..count {
                let line = start + row_of_unit(t, i, units, 1u32) * comptime!(s.line_stride());
                #[unroll]
                for part in 0..comptime!(stretch / width) {
                    let vector = shared[(line + k / width + part) as usize];
                    #[unroll]
                    for e in 0..width {
                        values[comptime!((i * stretch + part * width + e) as usize)] =
                            f32::cast_from(vector[comptime!(e as usize)]);
                    }
                }
            }
        }
        Along::Rows =>
        {
            #[unroll]
            for depth in 0..stretch {
                let line = start + (k + depth) * comptime!(s.line_stride());
                #[unroll]
                for part in 0..comptime!(count / width) {
                    let vector = shared[(line + comptime!(part * units) + t) as usize];
                    #[unroll]
                    for e in 0..width {
                        values[comptime!(((part * width + e) * stretch + depth) as usize)] =
                            f32::cast_from(vector[comptime!(e as usize)]);
                    }
                }
            }
        }
    }
}
