//! Tiles of inputs as points.

use std::ops::Range;

use super::fold::Folded;
use super::transform::{POINTS, column, input};
use super::{AtPointsMut, DisjointSlices, Layout, Tiles};
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, prefetch};

/// Bt x B of some tiles.
pub(super) struct TransformInputs<'a> {
    pub tiles: &'a Tiles,
    /// All images.
    pub x: &'a [f32],
    /// The block's first tile.
    pub first: usize,
    pub range: Range<usize>,
    /// Those of a group.
    pub channels: Range<usize>,
    pub layout: Layout,
    pub points: &'a DisjointSlices<'a>,
}

/// A tile's inputs, some of them outside the image.
struct Window {
    /// Where in x the first one would be.
    first: usize,
    /// Those in the image.
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Window {
    #[inline(always)]
    fn new(tiles: &Tiles, tile: usize) -> Self {
        let ([h, w, c], [pad_y, pad_x], [image, top, left]) = (tiles.input, tiles.pads, tiles.place(tile));
        let y = (image * h + top).wrapping_sub(pad_y);
        let first = y.wrapping_mul(w).wrapping_add(left).wrapping_sub(pad_x).wrapping_mul(c);
        Self { first, rows: within(top, pad_y, h), columns: within(left, pad_x, w) }
    }

    #[inline(always)]
    fn has_all_columns(&self) -> bool {
        self.columns.start == 0 && self.columns.end == POINTS
    }
}

/// Which of the [`POINTS`] places from `start` on lie within `len`, which begins behind the padding.
#[inline(always)]
fn within(start: usize, pad: usize, len: usize) -> Range<usize> {
    pad.saturating_sub(start)..(len + pad).saturating_sub(start).min(POINTS)
}

impl WithSimd for TransformInputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, x, first, range, channels, layout, points } = self;
        let [_, width, c] = tiles.input;
        let mut half = [[simd.splat(0.0); POINTS]; POINTS];
        let mut folded = Folded::new();
        for tile in range {
            let in_place =
                tiles.fold.as_ref().filter(|_| S::HAS_MASKED_LOAD).and_then(|f| Some((f, tiles.in_place(f, tile)?)));
            if let Some((fold, start)) = in_place {
                tiles.ask_for_next(fold, x, start);
                for channel in channels.clone().step_by(LANES) {
                    // SAFETY: the tile's inputs are in place, and all images in x, as `run` and `weights_gradient`
                    // asserted.
                    unsafe { tiles.rows_in_place(simd, fold, x, start, channel, &mut half) };
                    let at = layout.at(0, tile - first) + channel - channels.start;
                    // SAFETY: this tile's points belong to this task.
                    put_columns(&half, unsafe { points.tile(at, layout) });
                }
                continue;
            }
            let (x, width, window) = match &tiles.fold {
                None => (x, width, Window::new(tiles, tile)),
                Some(fold) => {
                    tiles.fold(simd, fold, x, tile, &mut folded);
                    (&folded.tile[..], POINTS, Window { first: 0, rows: 0..POINTS, columns: 0..POINTS })
                }
            };
            for channel in channels.clone().step_by(LANES) {
                let at = layout.at(0, tile - first) + channel - channels.start;
                for (i, half) in half.iter_mut().enumerate() {
                    for j in POINTS..POINTS + tiles.kernel.outputs() {
                        let place = window.first.wrapping_add((i * width + j) * c + channel);
                        prefetch(x.as_ptr().wrapping_add(place));
                    }
                    let mut row = [simd.splat(0.0); POINTS];
                    if window.rows.contains(&i) {
                        let start = x.as_ptr().wrapping_add(window.first.wrapping_add(i * width * c + channel));
                        for (j, value) in row.iter_mut().enumerate() {
                            if window.has_all_columns() || window.columns.contains(&j) {
                                // SAFETY: a place in an image, or in the folded tile, and a vector of its channels; all
                                // images are in x, as `run` and `weights_gradient` asserted.
                                *value = unsafe { simd.load_ptr(start.wrapping_add(j * c)) };
                            }
                        }
                    }
                    *half = input(row);
                }
                // SAFETY: this tile's points belong to this task.
                put_columns(&half, unsafe { points.tile(at, layout) });
            }
        }
    }
}

/// The transforms of columns, after those of rows.
#[inline(always)]
fn put_columns<V: Vector>(half: &[[V; POINTS]; POINTS], points: AtPointsMut<'_>) {
    for q in 0..POINTS {
        points.put(q, input(column(half, q)));
    }
}
