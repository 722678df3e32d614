//! Convolutions at a larger stride as ones at stride 1: each square of stride x stride pixels becomes one pixel with as many
//! times the channels, `[row][column][channel]` of the square, and kernels, with zeros after their last rows and columns,
//! likewise. The paper's first layer, 11x11 at stride 4 on 3 channels, becomes 3x3 on 48.

use super::Tiles;
use super::transform::{POINTS, input};
use crate::cpu::simd::{LANES, Simd, Vector, prefetch};
use crate::ops::conv2d::Geometry;

/// Values of a row of a square, at most: a vector.
const ROW: usize = LANES;
/// Channels of a folded pixel, at most.
const CHANNELS: usize = 64;
/// Values of a row of a tile's inputs, read by whole vectors, at most.
const ROW_VALUES: usize = POINTS * ROW;
/// Values of a tile's folded inputs, and what the last row, written as a whole vector, is longer.
const TILE_VALUES: usize = POINTS * POINTS * CHANNELS + ROW;

/// How images are folded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fold {
    pub stride: usize,
    /// Kernel height and width.
    kernel: [usize; 2],
    /// Image height, width and channels.
    pub image: [usize; 3],
}

impl Fold {
    /// For the convolutions that this is for: of few channels.
    pub fn of(g: &Geometry) -> Option<Self> {
        let (stride, [.., c]) = (g.stride[0], g.input);
        let fits = stride > 1
            && g.stride[1] == stride
            && g.groups == 1
            && stride * c <= ROW
            && stride * stride * c <= CHANNELS;
        fits.then_some(Self { stride, kernel: g.kernel, image: g.input })
    }

    /// Rows and columns of the folded kernel.
    pub fn side(&self, g: &Geometry) -> [usize; 2] {
        g.kernel.map(|side| side.div_ceil(self.stride))
    }

    /// Height, width and channels of what the folded kernel sees.
    pub fn input(&self, g: &Geometry) -> [usize; 3] {
        let [rows, columns] = self.side(g);
        [g.output[0] + rows - 1, g.output[1] + columns - 1, self.stride * self.stride * g.input[2]]
    }

    /// Values of a kernel.
    pub fn patch(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.image[2]
    }

    /// Where in a kernel `[kh][kw][c]` the value of a channel of a folded kernel's row and column is, if it is one of the
    /// kernel's.
    #[inline(always)]
    pub fn place(&self, [row, column]: [usize; 2], channel: usize) -> Option<usize> {
        let ([kh, kw], [.., c], stride) = (self.kernel, self.image, self.stride);
        let (y, x) = (row * stride + channel / (stride * c), column * stride + channel / c % stride);
        (y < kh && x < kw).then_some((y * kw + x) * c + channel % c)
    }
}

/// Room for a folded tile, made once for many: clearing it takes as long as folding.
pub(super) struct Folded {
    /// The tile's inputs `[7][7][channels]`.
    pub tile: [f32; TILE_VALUES],
    /// Rows of pixels that are not all in the image.
    edges: [[f32; ROW_VALUES]; ROW],
}

impl Folded {
    #[inline(always)]
    pub fn new() -> Self {
        Self { tile: [0.0; TILE_VALUES], edges: [[0.0; ROW_VALUES]; ROW] }
    }
}

impl Tiles {
    /// The first value of a tile's inputs, if all of them are in the image and a vector of a folded pixel's channels is of two
    /// rows of the square at most: then they need not be laid out.
    #[inline(always)]
    pub(super) fn in_place(&self, fold: &Fold, tile: usize) -> Option<usize> {
        let (Fold { stride, image: [h, w, c], .. }, [image, top, left]) = (*fold, self.place(tile));
        let y = (top * stride).checked_sub(self.pads[0])?;
        let x = (left * stride).checked_sub(self.pads[1])?;
        let inside = y + POINTS * stride <= h && x + POINTS * stride <= w;
        (inside && 2 * stride * c >= LANES).then_some(((image * h + y) * w + x) * c)
    }

    /// The points of a tile whose inputs are in place, from its first value on, a vector of channels from `channel` on.
    ///
    /// # Safety
    /// [`in_place`](Self::in_place) gave `first` for this tile, and x holds all images.
    #[inline(always)]
    pub(super) unsafe fn rows_in_place<S: Simd>(
        &self,
        simd: S,
        fold: &Fold,
        x: &[f32],
        first: usize,
        channel: usize,
        half: &mut [[S::F32; POINTS]; POINTS],
    ) {
        let Fold { stride, image: [_, w, c], .. } = *fold;
        let (row, line) = (stride * c, w * c);
        // The vector's values are the last ones of a row of the square, and the first of the next.
        let split = (row - channel % row).min(LANES);
        assert!(LANES - split <= row, "a vector of two rows");
        let low = x.as_ptr().wrapping_add(first + channel / row * line + channel % row);
        let high = x.as_ptr().wrapping_add(first + (channel / row + 1) * line).wrapping_sub(split);
        for (i, half) in half.iter_mut().enumerate() {
            let mut values = [simd.splat(0.0); POINTS];
            for (j, value) in values.iter_mut().enumerate() {
                let at = i * stride * line + j * row;
                // SAFETY: both parts are in the image, as the caller promises.
                *value = unsafe { simd.load_two(low.wrapping_add(at), high.wrapping_add(at), split) };
            }
            *half = input(values);
        }
    }

    /// Asks for what the next tile has and this one has not, of all its inputs in place.
    #[inline(always)]
    pub(super) fn ask_for_next(&self, fold: &Fold, x: &[f32], first: usize) {
        let Fold { stride, image: [_, w, c], .. } = *fold;
        for line in 0..POINTS * stride {
            self.ask_in_line(stride * c, x, first + line * w * c);
        }
    }

    /// The same of one line of pixels, from the tile's first value on.
    #[inline(always)]
    fn ask_in_line(&self, row: usize, x: &[f32], first: usize) {
        for ahead in (0..self.kernel.outputs() * row).step_by(LANES) {
            prefetch(x.as_ptr().wrapping_add(first + POINTS * row + ahead));
        }
    }

    /// Fills in a tile's inputs, zeros where they are outside the image.
    #[inline(always)]
    pub(super) fn fold<S: Simd>(&self, simd: S, fold: &Fold, x: &[f32], tile: usize, folded: &mut Folded) {
        let Folded { tile: folded, edges } = folded;
        let (Fold { stride, image: [h, w, c], .. }, [image, top, left]) = (*fold, self.place(tile));
        let (row, first) = (stride * c, left * stride * c);
        let pad = self.pads[1] * c;
        // What lies within the image of a row of the tile's inputs.
        let columns = pad.saturating_sub(first)..(w * c + pad).saturating_sub(first).min(POINTS * row);
        for i in 0..POINTS {
            let mut rows: [&[f32]; ROW] = [&[]; ROW];
            for (dy, edge) in edges.iter_mut().enumerate().take(stride) {
                let y = ((top + i) * stride + dy).checked_sub(self.pads[0]).filter(|&y| y < h);
                let start = y.map(|y| (image * h + y) * w * c + first);
                self.ask_in_line(row, x, start.unwrap_or(0));
                let whole = start.filter(|_| columns == (0..POINTS * row)).and_then(|start| start.checked_sub(pad));
                if let Some(whole) = whole.and_then(|start| x.get(start..start + ROW_VALUES)) {
                    rows[dy] = whole;
                    continue;
                }
                edge.fill(0.0);
                if let Some(start) = start.filter(|_| !columns.is_empty()) {
                    edge[columns.clone()].copy_from_slice(&x[start + columns.start - pad..start + columns.end - pad]);
                }
            }
            for (rows, edge) in rows.iter_mut().zip(&*edges).take(stride).filter(|(rows, _)| rows.is_empty()) {
                *rows = edge;
            }
            // In the order in which they lie: what a vector is longer than a row is written over by the next one.
            for j in 0..POINTS {
                for (dy, values) in rows.iter().enumerate().take(stride) {
                    simd.load(&values[j * row..]).store(&mut folded[((i * POINTS + j) * stride + dy) * row..]);
                }
            }
        }
    }
}
