//! Sums in fragments of 16 x 16 values, which the units of a plane hold together: matrix units, or loops that stand in
//! for them.

use cubecl::cmma::{self, MatrixIdent, MatrixLayout};
use cubecl::prelude::*;

use super::kernel::Plan;
use super::tile::{FRAGMENT, Inner, Staging};
use super::view::Along;

const SIDE: usize = FRAGMENT as usize;

/// Depth of a fragment.
pub(crate) fn depth(plan: &Plan) -> u32 {
    match plan.tile.inner {
        Inner::Units { .. } => 0,
        Inner::Fragments { k, .. } => k,
    }
}

/// Units of a plane.
pub(crate) fn plane(plan: &Plan) -> u32 {
    match plan.tile.inner {
        Inner::Units { .. } => 1,
        Inner::Fragments { plane, .. } => plane,
    }
}

/// Planes along the columns.
fn planes_across(plan: &Plan) -> u32 {
    match plan.tile.inner {
        Inner::Units { .. } => 1,
        Inner::Fragments { n, .. } => n,
    }
}

/// First row and column of this plane's part of the tile.
#[cube]
pub(crate) fn corner(#[comptime] plan: Plan) -> (u32, u32) {
    let across = comptime!(planes_across(&plan));
    let row = (UNIT_POS_Y / across) * comptime!(plan.tile.plane_fragments()[0] * FRAGMENT);
    let column = (UNIT_POS_Y % across) * comptime!(plan.tile.plane_fragments()[1] * FRAGMENT);
    (row, column)
}

/// Fragments of zeros, row by row.
#[cube]
pub(crate) fn zeros(#[comptime] plan: Plan) -> Sequence<cmma::Matrix<f32>> {
    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(plan.tile.plane_fragments()[0] * plan.tile.plane_fragments()[1]) {
        sums.push(cmma::Matrix::<f32>::from_value(
            MatrixIdent::Accumulator,
            SIDE,
            SIDE,
            comptime!(depth(&plan) as usize),
            MatrixLayout::Undefined,
            0.0f32,
        ));
    }
    sums
}

/// Adds the product of two stages, depth by depth.
#[cube]
pub(crate) fn multiply<S: Float, NA: Size, NB: Size>(
    a: &SharedMemory<Vector<S, NA>>,
    a_start: u32,
    b: &SharedMemory<Vector<S, NB>>,
    b_start: u32,
    sums: &Sequence<cmma::Matrix<f32>>,
    #[comptime] plan: Plan,
) {
    let rows = comptime!(plan.tile.plane_fragments()[0]);
    let columns = comptime!(plan.tile.plane_fragments()[1]);
    let depth = comptime!(depth(&plan));
    let (row, column) = corner(plan);
    #[unroll]
    for step in 0..comptime!(plan.tile.k / depth) {
        let k = comptime!(step * depth);
        let mut right = Sequence::<cmma::Matrix<S>>::new();
        #[unroll]
        for j in 0..columns {
            let at = fragment_start(b_start, column + comptime!(j * FRAGMENT), k, plan.b);
            right.push(fragment::<S, NB>(b, at, MatrixIdent::B, depth, plan.b));
        }
        #[unroll]
        for i in 0..rows {
            let at = fragment_start(a_start, row + comptime!(i * FRAGMENT), k, plan.a);
            let left = fragment::<S, NA>(a, at, MatrixIdent::A, depth, plan.a);
            #[unroll]
            for j in 0..columns {
                let sum = sums.index(comptime!((i * columns + j) as usize));
                cmma::execute::<S, S, f32, f32>(&left, right.index(comptime!(j as usize)), sum, sum);
            }
        }
    }
}

/// The vector at which a fragment begins.
#[cube]
fn fragment_start(start: u32, row: u32, #[comptime] k: u32, #[comptime] s: Staging) -> u32 {
    let width = comptime!(s.operand.width);
    match comptime!(s.operand.along) {
        Along::Depth => start + row * comptime!(s.line_stride()) + comptime!(k / width),
        Along::Rows => start + comptime!(k * s.line_stride()) + row / width,
    }
}

/// A factor's fragment from shared memory.
#[cube]
fn fragment<S: Float, N: Size>(
    shared: &SharedMemory<Vector<S, N>>,
    start: u32,
    #[comptime] ident: MatrixIdent,
    #[comptime] depth: u32,
    #[comptime] s: Staging,
) -> cmma::Matrix<S> {
    // SAFETY: loaded in the next statement.
    let matrix = unsafe {
        cmma::Matrix::<S>::uninitialized(ident, SIDE, SIDE, comptime!(depth as usize), comptime!(layout(ident, s)))
    };
    let slice = shared.slice(start as usize, comptime!((2 * s.stage_len()) as usize));
    cmma::load(&matrix, &slice, comptime!(s.line));
    matrix
}

/// Rows of A are rows, rows of B are columns.
fn layout(ident: MatrixIdent, s: Staging) -> MatrixLayout {
    if (ident == MatrixIdent::A) == (s.operand.along == Along::Depth) {
        MatrixLayout::RowMajor
    } else {
        MatrixLayout::ColMajor
    }
}

/// Writes row `i` of this plane's fragments to its strip of shared memory, as `[16, strip]`.
#[cube]
pub(crate) fn write_strip<N: Size>(
    sums: &Sequence<cmma::Matrix<f32>>,
    strips: &mut SharedMemory<Vector<f32, N>>,
    #[comptime] i: u32,
    #[comptime] plan: Plan,
) {
    let columns = comptime!(plan.tile.plane_fragments()[1]);
    let strip = comptime!(plan.tile.strip());
    let len = strips.len();
    #[unroll]
    for j in 0..columns {
        let at = UNIT_POS_Y * comptime!(FRAGMENT * strip) + comptime!(j * FRAGMENT);
        let mut slice = strips.slice_mut((at / comptime!(plan.width)) as usize, len);
        let sum = sums.index(comptime!((i * columns + j) as usize));
        cmma::store(&mut slice, sum, strip, MatrixLayout::RowMajor);
    }
}

/// Where [`zeros`] has fragments, values in shared memory: `[plane, fragment, 16, 16]`.
#[cube]
pub(crate) fn zeros_in_loops(#[comptime] plan: Plan) -> SharedMemory<f32> {
    let mut sums = SharedMemory::<f32>::new(comptime!((plan.tile.m * plan.tile.n) as usize));
    for i in 0..comptime!(plan.tile.m * plan.tile.n / plan.tile.cube()) {
        sums[(i * comptime!(plan.tile.cube()) + UNIT_POS) as usize] = 0.0f32;
    }
    sync_cube();
    sums
}

/// [`multiply`] without matrix units.
#[cube]
pub(crate) fn multiply_in_loops<S: Float, NA: Size, NB: Size>(
    a: &SharedMemory<Vector<S, NA>>,
    a_start: u32,
    b: &SharedMemory<Vector<S, NB>>,
    b_start: u32,
    sums: &mut SharedMemory<f32>,
    #[comptime] plan: Plan,
) {
    let rows = comptime!(plan.tile.plane_fragments()[0]);
    let columns = comptime!(plan.tile.plane_fragments()[1]);
    let depth = comptime!(depth(&plan));
    let (row, column) = corner(plan);
    #[unroll]
    for step in 0..comptime!(plan.tile.k / depth) {
        let k = comptime!(step * depth);
        for number in 0..comptime!(rows * columns) {
            let left = fragment_start(a_start, row + number / columns * FRAGMENT, k, plan.a);
            let right = fragment_start(b_start, column + number % columns * FRAGMENT, k, plan.b);
            let start = (UNIT_POS_Y * comptime!(rows * columns) + number) * comptime!(FRAGMENT * FRAGMENT);
            for i in 0..comptime!(FRAGMENT * FRAGMENT / plane(&plan)) {
                let element = i * comptime!(plane(&plan)) + UNIT_POS_X;
                let mut sum = sums[(start + element) as usize];
                for k in 0..depth {
                    let left = element_of::<S, NA>(a, left, element / FRAGMENT, k, plan.a);
                    let right = element_of::<S, NB>(b, right, element % FRAGMENT, k, plan.b);
                    sum = fma(left, right, sum);
                }
                sums[(start + element) as usize] = sum;
            }
        }
    }
}

/// One value of a fragment.
#[cube]
fn element_of<S: Float, N: Size>(
    shared: &SharedMemory<Vector<S, N>>,
    start: u32,
    row: u32,
    k: u32,
    #[comptime] s: Staging,
) -> f32 {
    let width = comptime!(s.operand.width);
    let (line, offset) = match comptime!(s.operand.along) {
        Along::Depth => (row, k),
        Along::Rows => (k, row),
    };
    let vector = shared[(start + line * comptime!(s.line_stride()) + offset / width) as usize];
    let mut value = f32::cast_from(vector[0]);
    #[unroll]
    for e in 1..width {
        if offset % width == e {
            value = f32::cast_from(vector[comptime!(e as usize)]);
        }
    }
    value
}

/// [`write_strip`] without matrix units: whole vectors, in turns.
#[cube]
pub(crate) fn write_strip_in_loops<N: Size>(
    sums: &SharedMemory<f32>,
    strips: &mut SharedMemory<Vector<f32, N>>,
    #[comptime] i: u32,
    #[comptime] plan: Plan,
) {
    let rows = comptime!(plan.tile.plane_fragments()[0]);
    let columns = comptime!(plan.tile.plane_fragments()[1]);
    let width = comptime!(plan.width);
    for j in 0..columns {
        let number = UNIT_POS_Y * comptime!(rows * columns) + comptime!(i * columns) + j;
        for turn in 0..comptime!(FRAGMENT * FRAGMENT / plane(&plan) / width) {
            let element = (turn * comptime!(plane(&plan)) + UNIT_POS_X) * width;
            let mut vector = Vector::<f32, N>::empty();
            #[unroll]
            for e in 0..width {
                vector[comptime!(e as usize)] = sums[(number * comptime!(FRAGMENT * FRAGMENT) + element + e) as usize];
            }
            let line = UNIT_POS_Y * FRAGMENT + element / FRAGMENT;
            let at = line * comptime!(plan.tile.strip()) + j * FRAGMENT + element % FRAGMENT;
            strips[(at / width) as usize] = vector;
        }
    }
}
