//! Convolutions of 3x3 and 5x5 kernels with fewer multiplications: 49 for 25 outputs instead of 225 (3x3), and for 9
//! outputs instead of 225 (5x5). AlexNet's maps of 13 and 27 are 3 tiles of 5 less two, and 9 tiles of 3. Its first
//! convolution, 11x11 at stride 4, becomes one of 3x3 by folding 4x4 pixels into one.
//!
//! Tiles of 7x7 inputs are transformed, multiplied with the transformed kernels at each of 49 points (a product of
//! matrices `[tiles, in] [in, out]` a point), and transformed back. Weights' gradients go the same way backwards. In
//! `f32` the transforms cost about one more digit than plain sums: errors stay below 1e-5 of the terms' absolute sum,
//! and [`Algorithms::Exact`](super::Algorithms::Exact) does without.
//!
//! Each thread works on a block of tiles of its own, for outputs and dx on a panel of output channels at a time, so
//! that the panel's products stay in its second cache. Only for dw of many channels, whose sums are too large for each
//! thread to have its own, all threads work on one block.

#![allow(clippy::needless_range_loop, reason = "columns of small matrices")]

mod fold;
mod forward;
mod gradient;
mod inputs;
mod kernels;
mod outputs;
mod rows;
#[cfg(test)]
mod tests;
mod transform;

use super::simd::{LANES, Level, Simd, Vector};
use crate::ops::conv2d::Geometry;
use fold::Fold;
pub(super) use forward::Operands;
pub(super) use rows::RowTiles;
use transform::{POINTS, TILE};

/// Kernels that there are transforms for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Three,
    Five,
}

impl Kernel {
    fn side(self) -> usize {
        match self {
            Self::Three => 3,
            Self::Five => 5,
        }
    }

    /// Outputs of a tile along one axis.
    fn outputs(self) -> usize {
        POINTS + 1 - self.side()
    }
}

/// A convolution as tiles see it: at stride 1, if need be after [folding](fold).
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    level: Level,
    kernel: Kernel,
    /// Images.
    n: usize,
    /// Input height, width and channels.
    input: [usize; 3],
    /// Output height, width and channels.
    output: [usize; 3],
    /// Zeros above and on the left.
    pads: [usize; 2],
    /// How the input is made of the images.
    fold: Option<Fold>,
    groups: usize,
    /// Tiles that are worked on at a time.
    block: usize,
}

/// Tiles that a thread works on at a time: the transformed kernels are read once for all of them, and their points and
/// products are to stay in the second cache.
const BLOCK_TILES: usize = 48;
/// The same where their products are summed: the sums, as large as the transformed kernels, are read and written once a
/// block.
const SUMMED_TILES: usize = 96;
/// Transforming kernels each time does not pay for fewer tiles than this.
const MIN_TILES: usize = 96;
/// Where an image's multiplications are fewer by this factor, it pays for a single image: what is made of weights that
/// do not change is kept.
const MIN_SPEEDUP: usize = 2;

impl Tiles {
    /// The tiles of a convolution, if they pay.
    pub fn forward(g: &Geometry) -> Option<Self> {
        let tiles = Self::of(g)?;
        match tiles.speedup() >= MIN_SPEEDUP {
            true => Some(tiles.within_a_block()),
            false => tiles.when_profitable(),
        }
    }

    /// The convolution that gives dx from dy: the kernels turned by 180 degrees, inputs and outputs exchanged.
    pub fn backward(g: &Geometry) -> Option<Self> {
        let forward = Self::of(g).filter(|tiles| tiles.fold.is_none())?;
        let reach = forward.kernel.side() - 1;
        let pads = [reach.checked_sub(g.padding.top)?, reach.checked_sub(g.padding.left)?];
        Self { input: g.output, output: g.input, pads, ..forward }.when_profitable()
    }

    /// The tiles of a convolution as dw sees them.
    pub fn weights(g: &Geometry) -> Option<Self> {
        let tiles = Self::of(g)?;
        Self { block: SUMMED_TILES, ..tiles }.when_profitable()
    }

    fn of(g: &Geometry) -> Option<Self> {
        let (fold, input, side) = match Fold::of(g) {
            Some(fold) => (Some(fold), fold.input(g), fold.side(g)),
            None if g.stride == [1, 1] => (None, g.input, g.kernel),
            None => return None,
        };
        let kernel = match side {
            [3, 3] => Kernel::Three,
            [5, 5] => Kernel::Five,
            _ => return None,
        };
        let whole = |c: usize| c > 0 && (c / g.groups).is_multiple_of(LANES);
        if !whole(input[2]) || !whole(g.output[2]) {
            return None;
        }
        let (n, output, pads, groups) = (g.n, g.output, [g.padding.top, g.padding.left], g.groups);
        Some(Self { level: Level::get(), kernel, n, input, output, pads, fold, groups, block: BLOCK_TILES })
    }

    fn when_profitable(self) -> Option<Self> {
        (self.tiles() >= MIN_TILES).then(|| self.within_a_block())
    }

    fn within_a_block(self) -> Self {
        Self { block: self.block.min(self.tiles()), ..self }
    }

    /// Multiplications of an image by those of its tiles, rounded down.
    fn speedup(&self) -> usize {
        let patch = self.fold.map_or(self.kernel.side().pow(2) * self.input[2], |fold| fold.patch());
        self.output[0] * self.output[1] * patch / (TILE * self.an_image() * self.input[2]).max(1)
    }

    /// Multiplications and additions of the products at all points; those of the transforms are not counted.
    pub fn flops(&self) -> f64 {
        2.0 * (TILE * self.tiles()) as f64 * (self.group()[0] * self.output[2]) as f64
    }

    /// Values of all images.
    fn images(&self) -> usize {
        self.n * self.fold.map_or(self.input, |fold| fold.image).iter().product::<usize>()
    }

    /// Values of one kernel, and of one output channel of dw.
    fn patch(&self) -> usize {
        self.fold.map_or(self.kernel.side().pow(2) * self.group()[0], |fold| fold.patch())
    }

    /// Rows and columns of tiles in an image.
    fn grid(&self) -> [usize; 2] {
        [self.output[0], self.output[1]].map(|len| len.div_ceil(self.kernel.outputs()))
    }

    fn an_image(&self) -> usize {
        self.grid().iter().product()
    }

    fn tiles(&self) -> usize {
        self.n * self.an_image()
    }

    /// Input and output channels of a group.
    fn group(&self) -> [usize; 2] {
        [self.input[2] / self.groups, self.output[2] / self.groups]
    }

    /// A tile's image, and the row and column of its first output.
    fn place(&self, tile: usize) -> [usize; 3] {
        let ([_, columns], at, m) = (self.grid(), tile % self.an_image(), self.kernel.outputs());
        [tile / self.an_image(), at / columns * m, at % columns * m]
    }
}

/// Where the points of a block and a group lie: `[point][tile][channel]`, with gaps that keep rows and points from
/// falling on the same sets of a cache.
#[derive(Clone, Copy, Debug)]
struct Layout {
    row: usize,
    point: usize,
    len: usize,
}

impl Layout {
    fn new(tiles: usize, channels: usize) -> Self {
        Self::of_points(TILE, tiles, channels)
    }

    fn of_points(points: usize, tiles: usize, channels: usize) -> Self {
        let row = if channels.is_multiple_of(4 * LANES) { channels + LANES } else { channels };
        let point = tiles * row + LANES;
        Self { row, point, len: points * point }
    }

    fn at(&self, point: usize, tile: usize) -> usize {
        point * self.point + tile * self.row
    }
}

/// A slice of which threads write disjoint parts.
#[derive(Clone, Copy)]
struct DisjointSlices<'a> {
    data: *mut f32,
    len: usize,
    slice: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: a borrowed slice; who makes parts of it promises that they do not overlap.
unsafe impl Send for DisjointSlices<'_> {}
// SAFETY: as above.
unsafe impl Sync for DisjointSlices<'_> {}

impl<'a> DisjointSlices<'a> {
    fn new(slice: &'a mut [f32]) -> Self {
        Self { data: slice.as_mut_ptr(), len: slice.len(), slice: std::marker::PhantomData }
    }

    /// One vector at each of a tile's points, from `at` on.
    ///
    /// # Safety
    /// Nobody else may use any of these vectors meanwhile.
    #[inline(always)]
    unsafe fn tile(&self, at: usize, layout: Layout) -> AtPointsMut<'a> {
        let len = (TILE - 1) * layout.point + LANES;
        assert!(at <= self.len && len <= self.len - at, "a tile's points lie in their block");
        // SAFETY: inside the slice.
        AtPointsMut { first: unsafe { self.data.add(at) }, point: layout.point, parts: std::marker::PhantomData }
    }

    /// # Safety
    /// Nobody else may use any of these values meanwhile.
    #[inline(always)]
    unsafe fn part(&self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start <= self.len && len <= self.len - start, "a part lies in its slice");
        // SAFETY: inside the slice; the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), len) }
    }
}

/// One vector at each of a tile's points, to be written.
struct AtPointsMut<'a> {
    first: *mut f32,
    /// From one point to the next.
    point: usize,
    parts: std::marker::PhantomData<&'a mut [f32]>,
}

impl AtPointsMut<'_> {
    /// Sets the points of column `q`.
    #[inline(always)]
    fn put<V: Vector>(&self, q: usize, column: [V; POINTS]) {
        assert!(q < POINTS, "a column");
        for (p, value) in column.into_iter().enumerate() {
            // SAFETY: `DisjointSlices::tile` saw that all points lie in their block, and its caller has them for
            // itself.
            unsafe { value.store_ptr(self.first.add((p * POINTS + q) * self.point)) };
        }
    }
}

/// One vector at each of a tile's points.
struct AtPoints<'a> {
    values: &'a [f32],
    /// From one point to the next.
    point: usize,
}

impl<'a> AtPoints<'a> {
    #[inline(always)]
    fn new(block: &'a [f32], at: usize, layout: Layout) -> Self {
        Self { values: &block[at..][..(TILE - 1) * layout.point + LANES], point: layout.point }
    }

    /// The points of row `p`.
    #[inline(always)]
    fn row<S: Simd>(&self, simd: S, p: usize) -> [S::F32; POINTS] {
        assert!(p < POINTS, "a row");
        let mut row = [simd.splat(0.0); POINTS];
        for (q, value) in row.iter_mut().enumerate() {
            // SAFETY: the slice is as long as all points need, as `new` saw.
            *value = unsafe { simd.load_ptr(self.values.as_ptr().add((p * POINTS + q) * self.point)) };
        }
        row
    }
}
