//! The transform of inputs: tiles to points.

use std::ops::Range;

use super::Tiles;
use super::points::{DisjointSlices, Layout, TilePointsMut};
use super::space_to_depth::TileBuffer;
use super::transform::{POINTS, column, input};
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, prefetch};

/// Bt x B of some tiles.
pub(super) struct TransformInputs<'a> {
    pub tiles: &'a Tiles,
    /// All images.
    pub x: &'a [f32],
    /// The block's first tile.
    pub first: usize,
    pub range: Range<usize>,
    /// The channels of a group.
    pub channels: Range<usize>,
    pub layout: Layout,
    pub points: &'a DisjointSlices<'a>,
}

/// A tile's inputs, some of them outside the image.
struct Window {
    /// The index in x of the first one, were it in the image.
    first: usize,
    /// Those in the image.
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Window {
    #[inline(always)]
    fn new(tiles: &Tiles, tile: usize) -> Self {
        let [h, w, c] = tiles.input;
        let [pad_y, pad_x] = tiles.pads;
        let [image, top, left] = tiles.origin(tile);
        let y = (image * h + top).wrapping_sub(pad_y);
        let first = y.wrapping_mul(w).wrapping_add(left).wrapping_sub(pad_x).wrapping_mul(c);
        Self { first, rows: within(top, pad_y, h), columns: within(left, pad_x, w) }
    }

    #[inline(always)]
    fn has_all_columns(&self) -> bool {
        self.columns.start == 0 && self.columns.end == POINTS
    }
}

/// The range of the [`POINTS`] positions from `start` on that lies within `len`, which begins after the padding.
#[inline(always)]
fn within(start: usize, pad: usize, len: usize) -> Range<usize> {
    pad.saturating_sub(start)..(len + pad).saturating_sub(start).min(POINTS)
}

impl WithSimd for TransformInputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, x, range, .. } = &self;
        let mut half = [[simd.splat(0.0); POINTS]; POINTS];
        let mut buffer = TileBuffer::new();
        for tile in range.clone() {
            let in_place = tiles.space_to_depth.as_ref().filter(|_| S::HAS_MASKED_LOAD);
            let in_place = in_place.and_then(|s| Some((s, tiles.in_place(s, tile)?)));
            if let Some((space_to_depth, start)) = in_place {
                tiles.prefetch_next(space_to_depth, x, start);
                for channel in self.channels.clone().step_by(LANES) {
                    // SAFETY: `in_place` returned `start`; x holds all images, as `run` and `weights_gradient`
                    // asserted.
                    unsafe { tiles.transform_in_place(simd, space_to_depth, x, start, channel, &mut half) };
                    self.transform_columns(tile, channel, &half);
                }
                continue;
            }
            let (x, width, window) = match &tiles.space_to_depth {
                None => (*x, tiles.input[1], Window::new(tiles, tile)),
                Some(space_to_depth) => {
                    tiles.gather(simd, space_to_depth, x, tile, &mut buffer);
                    (&buffer.values[..], POINTS, Window { first: 0, rows: 0..POINTS, columns: 0..POINTS })
                }
            };
            self.transform(simd, x, width, &window, tile, &mut half);
        }
    }
}

impl TransformInputs<'_> {
    /// Transforms a tile whose inputs are a window of `x`, of rows of `width` pixels.
    #[inline(always)]
    fn transform<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        width: usize,
        window: &Window,
        tile: usize,
        half: &mut [[S::F32; POINTS]; POINTS],
    ) {
        let c = self.tiles.input[2];
        for channel in self.channels.clone().step_by(LANES) {
            for (i, half) in half.iter_mut().enumerate() {
                for j in POINTS..POINTS + self.tiles.kernel.outputs() {
                    let place = window.first.wrapping_add((i * width + j) * c + channel);
                    prefetch(x.as_ptr().wrapping_add(place));
                }
                let mut row = [simd.splat(0.0); POINTS];
                if window.rows.contains(&i) {
                    let start = x.as_ptr().wrapping_add(window.first.wrapping_add(i * width * c + channel));
                    for (j, value) in row.iter_mut().enumerate() {
                        if window.has_all_columns() || window.columns.contains(&j) {
                            // SAFETY: a position in an image or in the buffer, and a vector of its channels; x holds
                            // all images, as `run` and `weights_gradient` asserted.
                            *value = unsafe { simd.load_ptr(start.wrapping_add(j * c)) };
                        }
                    }
                }
                *half = input(row);
            }
            self.transform_columns(tile, channel, half);
        }
    }

    /// Transforms the columns after the rows, and stores the tile's points.
    #[inline(always)]
    fn transform_columns<V: Vector>(&self, tile: usize, channel: usize, half: &[[V; POINTS]; POINTS]) {
        let at = self.layout.at(0, tile - self.first) + channel - self.channels.start;
        // SAFETY: this tile's points belong to this task.
        let points: TilePointsMut<'_> = unsafe { self.points.tile(at, self.layout) };
        for q in 0..POINTS {
            points.store_column(q, input(column(half, q)));
        }
    }
}
