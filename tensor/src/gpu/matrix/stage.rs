//! Stages of operands: copies from device memory through registers to shared memory.

use cubecl::prelude::*;

use super::tile::Staging;
use super::view::{Axis, AxisOffset, BatchIndex, View, address, depth_offset, row_offset};

/// The line, and the vector in it, that this unit loads in a pass.
#[cube]
fn line_and_vector(unit: u32, #[comptime] pass: u32, #[comptime] s: Staging) -> (u32, u32) {
    let vectors = comptime!(s.line_vectors());
    if comptime!(s.is_columnar()) {
        (unit / vectors + comptime!(pass * (s.units / s.line_vectors())), unit % vectors)
    } else {
        let i = unit + comptime!(pass * s.units);
        (i / vectors, i % vectors)
    }
}

/// The offsets of the rows that this unit loads, which are the same for all depths. `first` is the tile's first row.
#[cube]
pub(crate) fn rows_of_unit(
    view: &View,
    batch: &BatchIndex,
    first: u32,
    rows: u32,
    unit: u32,
    #[comptime] s: Staging,
) -> Sequence<AxisOffset> {
    let mut offsets = Sequence::<AxisOffset>::new();
    #[unroll]
    for pass in 0..comptime!(row_passes(s)) {
        let (line, vector) = line_and_vector(unit, pass, s);
        let row = match comptime!(s.operand.contiguous) {
            Axis::Depth => line,
            Axis::Rows => vector * comptime!(s.operand.width),
        };
        offsets.push(row_offset(view, batch, first + row, rows, s.operand));
    }
    offsets
}

/// The number of passes that differ in their row.
fn row_passes(s: Staging) -> u32 {
    if s.is_columnar() && s.operand.contiguous == Axis::Rows { 1 } else { s.passes() }
}

/// The number of passes that differ in their depth.
fn depth_passes(s: Staging) -> u32 {
    if s.is_columnar() && s.operand.contiguous == Axis::Depth { 1 } else { s.passes() }
}

/// Loads this unit's vectors of the stage that starts at depth `k`: zeros for padding and past the end.
#[cube]
pub(crate) fn load<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    view: &View,
    batch: &BatchIndex,
    rows: &Sequence<AxisOffset>,
    k: u32,
    end: u32,
    unit: u32,
    #[comptime] s: Staging,
) -> Sequence<Vector<F, N>> {
    let mut depths = Sequence::<AxisOffset>::new();
    #[unroll]
    for pass in 0..comptime!(depth_passes(s)) {
        let (line, vector) = line_and_vector(unit, pass, s);
        let depth = match comptime!(s.operand.contiguous) {
            Axis::Depth => vector * comptime!(s.operand.width),
            Axis::Rows => line,
        };
        depths.push(depth_offset(view, batch, k + depth, end, s.operand));
    }
    let mut vectors = Sequence::<Vector<F, N>>::new();
    #[unroll]
    for pass in 0..comptime!(s.passes()) {
        let row = rows.index(comptime!(pass.min(row_passes(s) - 1) as usize));
        let depth = depths.index(comptime!(pass.min(depth_passes(s) - 1) as usize));
        let (at, valid) = address(view, row, depth, s.operand.kind);
        // Always loads, if need be from index 0: a branch costs more.
        let at = select(valid, at / comptime!(s.operand.width), 0u32);
        vectors.push(select(valid, x[at as usize], Vector::cast_from(0.0f32)));
    }
    vectors
}

/// Writes loaded vectors to the stage that begins at index `start`.
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
        let (line, vector) = line_and_vector(unit, pass, s);
        let at = (start + line * comptime!(s.line_stride()) + vector) as usize;
        let value = Vector::<S, N>::cast_from(*vectors.index(comptime!(pass as usize)));
        if comptime!(s.is_even()) || line < comptime!(s.lines()) {
            shared[at] = value;
        }
    }
}
