//! Space-to-depth: a convolution of a larger stride as one of stride 1. Each square of stride x stride pixels becomes
//! one pixel with its values `[row][column][channel]` as channels. Kernels change likewise, with zeros after their last
//! rows and columns. The paper's first layer, 11x11 at stride 4 on 3 channels, becomes 3x3 on 48.

use super::Tiles;
use super::transform::{POINTS, input};
use crate::cpu::simd::{LANES, Simd, Vector, prefetch};
use crate::ops::conv2d::Geometry;

/// The largest row of a square, in values: a vector.
const MAX_SQUARE_ROW: usize = LANES;
/// The most channels after space-to-depth.
const MAX_CHANNELS: usize = 64;
/// Values of a row of a tile's inputs of the largest squares, which is read by whole vectors.
const ROW_VALUES: usize = POINTS * MAX_SQUARE_ROW;
/// Values of a tile's inputs, and the excess of the last row, which is written as a whole vector.
const TILE_VALUES: usize = POINTS * POINTS * MAX_CHANNELS + MAX_SQUARE_ROW;

/// The convolution before space-to-depth.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpaceToDepth {
    pub stride: usize,
    /// Kernel height and width.
    kernel: [usize; 2],
    /// Image height, width and channels.
    pub image: [usize; 3],
}

impl SpaceToDepth {
    /// `None` for stride 1, unequal strides, groups and many channels.
    pub fn new(g: &Geometry) -> Option<Self> {
        let stride = g.stride[0];
        let channels = g.input[2];
        let fits = stride > 1
            && g.stride[1] == stride
            && g.groups == 1
            && stride * channels <= MAX_SQUARE_ROW
            && stride * stride * channels <= MAX_CHANNELS;
        fits.then_some(Self { stride, kernel: g.kernel, image: g.input })
    }

    /// Height and width of the kernel after space-to-depth.
    pub fn side(&self, g: &Geometry) -> [usize; 2] {
        g.kernel.map(|side| side.div_ceil(self.stride))
    }

    /// Height, width and channels of the input after space-to-depth.
    pub fn input(&self, g: &Geometry) -> [usize; 3] {
        let [rows, columns] = self.side(g);
        [g.output[0] + rows - 1, g.output[1] + columns - 1, self.stride * self.stride * g.input[2]]
    }

    /// Values of a kernel.
    pub fn kernel_len(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.image[2]
    }

    /// The index in a kernel `[kh][kw][c]` of the value at a row, column and channel after space-to-depth; `None` for
    /// the zeros after the kernel's last rows and columns.
    #[inline(always)]
    pub fn kernel_index(&self, [row, column]: [usize; 2], channel: usize) -> Option<usize> {
        let [kh, kw] = self.kernel;
        let c = self.image[2];
        let y = row * self.stride + channel / (self.stride * c);
        let x = column * self.stride + channel / c % self.stride;
        (y < kh && x < kw).then_some((y * kw + x) * c + channel % c)
    }
}

/// A tile's inputs after space-to-depth. Made once for many tiles: clearing it takes as long as filling it.
pub(super) struct TileBuffer {
    /// `[7][7][channels]`.
    pub values: [f32; TILE_VALUES],
    /// Rows of pixels that are partly outside the image.
    edges: [[f32; ROW_VALUES]; MAX_SQUARE_ROW],
}

impl TileBuffer {
    #[inline(always)]
    pub fn new() -> Self {
        Self { values: [0.0; TILE_VALUES], edges: [[0.0; ROW_VALUES]; MAX_SQUARE_ROW] }
    }
}

impl Tiles {
    /// The index in x of a tile's first input if the tile can be read in place: all its inputs are in the image, and a
    /// vector of channels spans at most two rows of a square.
    #[inline(always)]
    pub(super) fn in_place(&self, space_to_depth: &SpaceToDepth, tile: usize) -> Option<usize> {
        let SpaceToDepth { stride, image: [h, w, c], .. } = *space_to_depth;
        let [image, top, left] = self.origin(tile);
        let y = (top * stride).checked_sub(self.pads[0])?;
        let x = (left * stride).checked_sub(self.pads[1])?;
        let inside = y + POINTS * stride <= h && x + POINTS * stride <= w;
        (inside && 2 * stride * c >= LANES).then_some(((image * h + y) * w + x) * c)
    }

    /// Transforms the rows of a tile that is read in place, for the vector of channels from `channel` on.
    ///
    /// # Safety
    /// [`in_place`](Self::in_place) returned `first` for this tile, and x holds all images.
    #[inline(always)]
    pub(super) unsafe fn transform_in_place<S: Simd>(
        &self,
        simd: S,
        space_to_depth: &SpaceToDepth,
        x: &[f32],
        first: usize,
        channel: usize,
        half: &mut [[S::F32; POINTS]; POINTS],
    ) {
        let SpaceToDepth { stride, image: [_, w, c], .. } = *space_to_depth;
        let square_row = stride * c;
        let image_row = w * c;
        // The vector holds the end of a row of the square and the start of the next.
        let split = (square_row - channel % square_row).min(LANES);
        assert!(LANES - split <= square_row, "a vector of two rows");
        let low = x.as_ptr().wrapping_add(first + channel / square_row * image_row + channel % square_row);
        let high = x.as_ptr().wrapping_add(first + (channel / square_row + 1) * image_row).wrapping_sub(split);
        for (i, half) in half.iter_mut().enumerate() {
            let mut values = [simd.splat(0.0); POINTS];
            for (j, value) in values.iter_mut().enumerate() {
                let at = i * stride * image_row + j * square_row;
                // SAFETY: both parts are in the image, as the caller promises.
                *value = unsafe { simd.load_two(low.wrapping_add(at), high.wrapping_add(at), split) };
            }
            *half = input(values);
        }
    }

    /// Prefetches the inputs that the next tile adds to those of this one, which is read in place.
    #[inline(always)]
    pub(super) fn prefetch_next(&self, space_to_depth: &SpaceToDepth, x: &[f32], first: usize) {
        let SpaceToDepth { stride, image: [_, w, c], .. } = *space_to_depth;
        for row in 0..POINTS * stride {
            self.prefetch_next_row(stride * c, x, first + row * w * c);
        }
    }

    /// The same for one row of pixels, from the tile's first value on.
    #[inline(always)]
    fn prefetch_next_row(&self, square_row: usize, x: &[f32], first: usize) {
        for ahead in (0..self.kernel.outputs() * square_row).step_by(LANES) {
            prefetch(x.as_ptr().wrapping_add(first + POINTS * square_row + ahead));
        }
    }

    /// Copies a tile's inputs to `buffer`, zeros where they are outside the image.
    #[inline(always)]
    pub(super) fn gather<S: Simd>(
        &self,
        simd: S,
        space_to_depth: &SpaceToDepth,
        x: &[f32],
        tile: usize,
        buffer: &mut TileBuffer,
    ) {
        let TileBuffer { values, edges } = buffer;
        let SpaceToDepth { stride, image: [h, w, c], .. } = *space_to_depth;
        let [image, top, left] = self.origin(tile);
        let square_row = stride * c;
        let first = left * square_row;
        let pad = self.pads[1] * c;
        // The part of a row of the tile's inputs that is in the image.
        let columns = pad.saturating_sub(first)..(w * c + pad).saturating_sub(first).min(POINTS * square_row);
        for i in 0..POINTS {
            let mut rows: [&[f32]; MAX_SQUARE_ROW] = [&[]; MAX_SQUARE_ROW];
            for (dy, edge) in edges.iter_mut().enumerate().take(stride) {
                let y = ((top + i) * stride + dy).checked_sub(self.pads[0]).filter(|&y| y < h);
                let start = y.map(|y| (image * h + y) * w * c + first);
                self.prefetch_next_row(square_row, x, start.unwrap_or(0));
                let whole =
                    start.filter(|_| columns == (0..POINTS * square_row)).and_then(|start| start.checked_sub(pad));
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
            // In ascending order: the next vector overwrites the excess of the one before.
            for j in 0..POINTS {
                for (dy, row) in rows.iter().enumerate().take(stride) {
                    let to = ((i * POINTS + j) * stride + dy) * square_row;
                    simd.load(&row[j * square_row..]).store(&mut values[to..]);
                }
            }
        }
    }
}
