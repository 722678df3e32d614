//! Sums in fragments of 16 x 16 values that the units of a plane hold together: on matrix units, or in loops that do the
//! same without them.

use cubecl::cmma::{self, MatrixIdent, MatrixLayout};
use cubecl::prelude::*;

use super::kernel::GemmConfig;
use super::tile::{FRAGMENT, Inner, Staging};
use super::view::Axis;

const SIDE: usize = FRAGMENT as usize;

/// The depth of a fragment.
pub(crate) fn depth(config: &GemmConfig) -> u32 {
    match config.tile.inner {
        Inner::Units { .. } => 0,
        Inner::Fragments { k, .. } => k,
    }
}

/// The number of units in a plane.
pub(crate) fn plane(config: &GemmConfig) -> u32 {
    match config.tile.inner {
        Inner::Units { .. } => 1,
        Inner::Fragments { plane, .. } => plane,
    }
}

/// The number of planes along the columns.
fn plane_columns(config: &GemmConfig) -> u32 {
    match config.tile.inner {
        Inner::Units { .. } => 1,
        Inner::Fragments { n, .. } => n,
    }
}

/// The first row and column of this plane's part of the tile.
#[cube]
pub(crate) fn corner(#[comptime] config: GemmConfig) -> (u32, u32) {
    let plane_columns = comptime!(plane_columns(&config));
    let row = (UNIT_POS_Y / plane_columns) * comptime!(config.tile.plane_fragments()[0] * FRAGMENT);
    let column = (UNIT_POS_Y % plane_columns) * comptime!(config.tile.plane_fragments()[1] * FRAGMENT);
    (row, column)
}

/// Fragments of zeros, row by row.
#[cube]
pub(crate) fn zeros(#[comptime] config: GemmConfig) -> Sequence<cmma::Matrix<f32>> {
    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(config.tile.plane_fragments()[0] * config.tile.plane_fragments()[1]) {
        sums.push(cmma::Matrix::<f32>::from_value(
            MatrixIdent::Accumulator,
            SIDE,
            SIDE,
            comptime!(depth(&config) as usize),
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
    #[comptime] config: GemmConfig,
) {
    let rows = comptime!(config.tile.plane_fragments()[0]);
    let columns = comptime!(config.tile.plane_fragments()[1]);
    let depth = comptime!(depth(&config));
    let (row, column) = corner(config);
    #[unroll]
    for step in 0..comptime!(config.tile.k / depth) {
        let k = comptime!(step * depth);
        let mut right = Sequence::<cmma::Matrix<S>>::new();
        #[unroll]
        for j in 0..columns {
            let at = fragment_start(b_start, column + comptime!(j * FRAGMENT), k, config.b);
            right.push(fragment::<S, NB>(b, at, MatrixIdent::B, depth, config.b));
        }
        #[unroll]
        for i in 0..rows {
            let at = fragment_start(a_start, row + comptime!(i * FRAGMENT), k, config.a);
            let left = fragment::<S, NA>(a, at, MatrixIdent::A, depth, config.a);
            #[unroll]
            for j in 0..columns {
                let sum = sums.index(comptime!((i * columns + j) as usize));
                cmma::execute::<S, S, f32, f32>(&left, right.index(comptime!(j as usize)), sum, sum);
            }
        }
    }
}

/// The index of a fragment's first vector in shared memory.
#[cube]
fn fragment_start(start: u32, row: u32, #[comptime] k: u32, #[comptime] s: Staging) -> u32 {
    let width = comptime!(s.operand.width);
    match comptime!(s.operand.contiguous) {
        Axis::Depth => start + row * comptime!(s.line_stride()) + comptime!(k / width),
        Axis::Rows => start + comptime!(k * s.line_stride()) + row / width,
    }
}

/// Loads a fragment of A or B from shared memory.
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

/// The memory layout of a fragment. The rows of B's staging are the columns of the matrix B.
fn layout(ident: MatrixIdent, s: Staging) -> MatrixLayout {
    if (ident == MatrixIdent::A) == (s.operand.contiguous == Axis::Depth) {
        MatrixLayout::RowMajor
    } else {
        MatrixLayout::ColMajor
    }
}

/// Writes row `i` of this plane's fragments to its part of shared memory: `[16, fragment row stride]`.
#[cube]
pub(crate) fn write_fragment_row<N: Size>(
    sums: &Sequence<cmma::Matrix<f32>>,
    fragment_rows: &mut SharedMemory<Vector<f32, N>>,
    #[comptime] i: u32,
    #[comptime] config: GemmConfig,
) {
    let columns = comptime!(config.tile.plane_fragments()[1]);
    let stride = comptime!(config.tile.fragment_row_stride());
    let len = fragment_rows.len();
    #[unroll]
    for j in 0..columns {
        let at = UNIT_POS_Y * comptime!(FRAGMENT * stride) + comptime!(j * FRAGMENT);
        let mut slice = fragment_rows.slice_mut((at / comptime!(config.width)) as usize, len);
        let sum = sums.index(comptime!((i * columns + j) as usize));
        cmma::store(&mut slice, sum, stride, MatrixLayout::RowMajor);
    }
}

/// [`zeros`] without matrix units: `[plane, fragment, 16, 16]` in shared memory.
#[cube]
pub(crate) fn zeros_in_loops(#[comptime] config: GemmConfig) -> SharedMemory<f32> {
    let mut sums = SharedMemory::<f32>::new(comptime!((config.tile.m * config.tile.n) as usize));
    for i in 0..comptime!(config.tile.m * config.tile.n / config.tile.cube()) {
        sums[(i * comptime!(config.tile.cube()) + UNIT_POS) as usize] = 0.0f32;
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
    #[comptime] config: GemmConfig,
) {
    let rows = comptime!(config.tile.plane_fragments()[0]);
    let columns = comptime!(config.tile.plane_fragments()[1]);
    let depth = comptime!(depth(&config));
    let (row, column) = corner(config);
    #[unroll]
    for step in 0..comptime!(config.tile.k / depth) {
        let k = comptime!(step * depth);
        for number in 0..comptime!(rows * columns) {
            let left = fragment_start(a_start, row + number / columns * FRAGMENT, k, config.a);
            let right = fragment_start(b_start, column + number % columns * FRAGMENT, k, config.b);
            let start = (UNIT_POS_Y * comptime!(rows * columns) + number) * comptime!(FRAGMENT * FRAGMENT);
            for i in 0..comptime!(FRAGMENT * FRAGMENT / plane(&config)) {
                let element = i * comptime!(plane(&config)) + UNIT_POS_X;
                let mut sum = sums[(start + element) as usize];
                for k in 0..depth {
                    let left = element_of::<S, NA>(a, left, element / FRAGMENT, k, config.a);
                    let right = element_of::<S, NB>(b, right, element % FRAGMENT, k, config.b);
                    sum = fma(left, right, sum);
                }
                sums[(start + element) as usize] = sum;
            }
        }
    }
}

/// The value of a fragment at `row` and depth `k`.
#[cube]
fn element_of<S: Float, N: Size>(
    shared: &SharedMemory<Vector<S, N>>,
    start: u32,
    row: u32,
    k: u32,
    #[comptime] s: Staging,
) -> f32 {
    let width = comptime!(s.operand.width);
    let (line, offset) = match comptime!(s.operand.contiguous) {
        Axis::Depth => (row, k),
        Axis::Rows => (k, row),
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

/// [`write_fragment_row`] without matrix units: units take turns with whole vectors.
#[cube]
pub(crate) fn write_fragment_row_in_loops<N: Size>(
    sums: &SharedMemory<f32>,
    fragment_rows: &mut SharedMemory<Vector<f32, N>>,
    #[comptime] i: u32,
    #[comptime] config: GemmConfig,
) {
    let rows = comptime!(config.tile.plane_fragments()[0]);
    let columns = comptime!(config.tile.plane_fragments()[1]);
    let width = comptime!(config.width);
    for j in 0..columns {
        let number = UNIT_POS_Y * comptime!(rows * columns) + comptime!(i * columns) + j;
        for turn in 0..comptime!(FRAGMENT * FRAGMENT / plane(&config) / width) {
            let element = (turn * comptime!(plane(&config)) + UNIT_POS_X) * width;
            let mut vector = Vector::<f32, N>::empty();
            #[unroll]
            for e in 0..width {
                vector[comptime!(e as usize)] = sums[(number * comptime!(FRAGMENT * FRAGMENT) + element + e) as usize];
            }
            let line = UNIT_POS_Y * FRAGMENT + element / FRAGMENT;
            let at = line * comptime!(config.tile.fragment_row_stride()) + j * FRAGMENT + element % FRAGMENT;
            fragment_rows[(at / width) as usize] = vector;
        }
    }
}
