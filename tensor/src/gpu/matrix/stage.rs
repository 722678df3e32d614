//! From device memory through registers to shared memory.

use cubecl::prelude::*;

use super::tile::Staging;
use super::view::{Along, Batch, Place, View, address, depth_place, row_place};

/// Line and vector within it that this unit loads in a pass.
#[cube]
fn spot(unit: u32, #[comptime] pass: u32, #[comptime] s: Staging) -> (u32, u32) {
    let vectors = comptime!(s.line_vectors());
    if comptime!(s.is_columnar()) {
        (unit / vectors + comptime!(pass * (s.units / s.line_vectors())), unit % vectors)
    } else {
        let i = unit + comptime!(pass * s.units);
        (i / vectors, i % vectors)
    }
}

/// The places of the rows that this unit loads, which stay the same for all depths. `first` is the tile's first row.
#[cube]
pub(crate) fn rows_of_unit(
    view: &View,
    batch: &Batch,
    first: u32,
    rows: u32,
    unit: u32,
    #[comptime] s: Staging,
) -> Sequence<Place> {
    let mut places = Sequence::<Place>::new();
    #[unroll]
    for pass in 0..comptime!(row_passes(s)) {
        let (line, vector) = spot(unit, pass, s);
        let row = match comptime!(s.operand.along) {
            Along::Depth => line,
            Along::Rows => vector * comptime!(s.operand.width),
        };
        places.push(row_place(view, batch, first + row, rows, s.operand));
    }
    places
}

/// Passes with rows of their own.
fn row_passes(s: Staging) -> u32 {
    if s.is_columnar() && s.operand.along == Along::Rows { 1 } else { s.passes() }
}

/// Passes with depths of their own.
fn depth_passes(s: Staging) -> u32 {
    if s.is_columnar() && s.operand.along == Along::Depth { 1 } else { s.passes() }
}

/// The vectors of this unit for the stage that starts at depth `k`: zeros where there is nothing.
#[cube]
pub(crate) fn load<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    view: &View,
    batch: &Batch,
    rows: &Sequence<Place>,
    k: u32,
    end: u32,
    unit: u32,
    #[comptime] s: Staging,
) -> Sequence<Vector<F, N>> {
    let mut depths = Sequence::<Place>::new();
    #[unroll]
    for pass in 0..comptime!(depth_passes(s)) {
        let (line, vector) = spot(unit, pass, s);
        let depth = match comptime!(s.operand.along) {
            Along::Depth => vector * comptime!(s.operand.width),
            Along::Rows => line,
        };
        depths.push(depth_place(view, batch, k + depth, end, s.operand));
    }
    let mut vectors = Sequence::<Vector<F, N>>::new();
    #[unroll]
    for pass in 0..comptime!(s.passes()) {
        let row = rows.index(comptime!(pass.min(row_passes(s) - 1) as usize));
        let depth = depths.index(comptime!(pass.min(depth_passes(s) - 1) as usize));
        let (at, valid) = address(view, row, depth, s.operand.kind);
        // Loaded in any case, from where there is something: a branch costs more.
        let at = select(valid, at / comptime!(s.operand.width), 0u32);
        vectors.push(select(valid, x[at as usize], Vector::cast_from(0.0f32)));
    }
    vectors
}

/// Writes what [`load`] loaded to a stage, which starts at `start`.
#[cube]
pub(crate) fn store<F: Float, S: Float, N: Size>(
    vectors: &Sequence<Vector<F, N>>,
    shared: &mut SharedMemory<Vector<S, N>>,
    start: u32,
    unit: u32,
    #[comptime] s: Staging,
) {
    #[unroll]
    for pass in 0..comptime!(s.passes()) {
        let (line, vector) = spot(unit, pass, s);
        let at = (start + line * comptime!(s.line_stride()) + vector) as usize;
        let value = Vector::<S, N>::cast_from(*vectors.index(comptime!(pass as usize)));
        if comptime!(s.is_even()) || line < comptime!(s.lines()) {
            shared[at] = value;
        }
    }
}
