//! Values at the points of tiles, and slices that several threads write to.

use std::marker::PhantomData;

use super::transform::{POINTS, TILE_POINTS};
use crate::cpu::simd::{LANES, Simd, Vector};

/// The layout `[point][tile][channel]` of a block's points in a group, with gaps: without them rows and points would
/// share few sets of a cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub row: usize,
    pub point: usize,
    pub len: usize,
}

impl Layout {
    pub fn new(tiles: usize, channels: usize) -> Self {
        Self::with_points(TILE_POINTS, tiles, channels)
    }

    pub fn with_points(points: usize, tiles: usize, channels: usize) -> Self {
        let row = if channels.is_multiple_of(4 * LANES) { channels + LANES } else { channels };
        let point = tiles * row + LANES;
        Self { row, point, len: points * point }
    }

    pub fn at(&self, point: usize, tile: usize) -> usize {
        point * self.point + tile * self.row
    }
}

/// A slice of which each thread writes its own parts.
#[derive(Clone, Copy)]
pub(super) struct DisjointSlices<'a> {
    data: *mut f32,
    pub len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: a borrowed slice; callers of `slice` and `tile` promise that the parts do not overlap.
unsafe impl Send for DisjointSlices<'_> {}
// SAFETY: as above.
unsafe impl Sync for DisjointSlices<'_> {}

impl<'a> DisjointSlices<'a> {
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self { data: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// One vector at each of a tile's points, from `at` on.
    ///
    /// # Safety
    /// Nothing else may use these vectors during the borrow.
    #[inline(always)]
    pub unsafe fn tile(&self, at: usize, layout: Layout) -> TilePointsMut<'a> {
        let len = (TILE_POINTS - 1) * layout.point + LANES;
        assert!(at <= self.len && len <= self.len - at, "a tile's points lie in their block");
        // SAFETY: inside the slice.
        TilePointsMut { first: unsafe { self.data.add(at) }, point: layout.point, slice: PhantomData }
    }

    /// # Safety
    /// Nothing else may use these values during the borrow.
    #[inline(always)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start <= self.len && len <= self.len - start, "a part lies in its slice");
        // SAFETY: inside the slice; the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), len) }
    }
}

/// One vector at each of a tile's points, for writing.
pub(super) struct TilePointsMut<'a> {
    first: *mut f32,
    /// From one point to the next.
    point: usize,
    slice: PhantomData<&'a mut [f32]>,
}

impl TilePointsMut<'_> {
    /// Sets the points of column `q`.
    #[inline(always)]
    pub fn store_column<V: Vector>(&self, q: usize, column: [V; POINTS]) {
        assert!(q < POINTS, "a column");
        for (p, value) in column.into_iter().enumerate() {
            // SAFETY: `DisjointSlices::tile` checked that all points lie in their block, and its caller uses them
            // alone.
            unsafe { value.store_ptr(self.first.add((p * POINTS + q) * self.point)) };
        }
    }
}

/// One vector at each of a tile's points, for reading.
pub(super) struct TilePoints<'a> {
    values: &'a [f32],
    /// From one point to the next.
    point: usize,
}

impl<'a> TilePoints<'a> {
    #[inline(always)]
    pub fn new(block: &'a [f32], at: usize, layout: Layout) -> Self {
        Self { values: &block[at..][..(TILE_POINTS - 1) * layout.point + LANES], point: layout.point }
    }

    /// The points of row `p`.
    #[inline(always)]
    pub fn load_row<S: Simd>(&self, simd: S, p: usize) -> [S::F32; POINTS] {
        assert!(p < POINTS, "a row");
        let mut row = [simd.splat(0.0); POINTS];
        for (q, value) in row.iter_mut().enumerate() {
            // SAFETY: `new` checked that all points lie in the slice.
            *value = unsafe { simd.load_ptr(self.values.as_ptr().add((p * POINTS + q) * self.point)) };
        }
        row
    }
}
