//! Sample planes of each component for a region, and their conversion to pixels.

use std::ops::Range;

use super::colour::{self, ColourSpace};
use super::frame::{COMPONENTS, Frame};
use super::huffman::TableCache;
use super::upsample::{Axis, UpsampleInput, Upsampler};
use super::{BLOCK, Region};

/// Maximum size in bytes of each buffer that a thread keeps between images.
pub(super) const MAX_KEPT_BYTES: usize = 8 << 20;

/// Buffers for decoding one image, reused for the next.
#[derive(Debug, Default)]
pub(super) struct Planes {
    /// Unstuffed data of a scan, with padding.
    pub scan: Vec<u8>,
    pub planes: [Plane; COMPONENTS],
    pub tables: TableCache,
    rows: [Upsampler; COMPONENTS],
}

/// The samples of a component the region depends on, in whole blocks.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub values: Vec<u8>,
    /// Range of blocks.
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Upsampling of the component.
    across: Axis,
    down: Axis,
}

impl Plane {
    /// Row length in bytes.
    pub fn stride(&self) -> usize {
        self.columns.len() * BLOCK
    }

    /// Offset of a block's samples; `None` if the region does not need the block.
    #[inline(always)]
    pub fn offset_of_block(&self, x: usize, y: usize) -> Option<usize> {
        let is_needed = self.rows.contains(&y) && self.columns.contains(&x);
        is_needed.then(|| ((y - self.rows.start) * self.stride() + x - self.columns.start) * BLOCK)
    }

    /// Resizes the plane for `region`.
    fn fit(&mut self, across: Axis, down: Axis, region: &Region) {
        self.across = across;
        self.down = down;
        let blocks = |range: Range<usize>| range.start / BLOCK..range.end.div_ceil(BLOCK);
        self.columns = blocks(self.across.needed(&region.columns));
        self.rows = blocks(self.down.needed(&region.rows));
        // Old contents do not matter: only transformed blocks are used.
        self.values.resize(self.stride() * self.rows.len() * BLOCK, 0);
    }

    /// Samples of row `y`, from the first column of blocks on.
    fn row(&self, y: usize) -> &[u8] {
        &self.values[(y - self.rows.start * BLOCK) * self.stride()..][..self.stride()]
    }
}

impl Planes {
    /// Resizes the planes for `region`.
    pub fn fit(&mut self, frame: &Frame, region: &Region) {
        for (component, plane) in self.planes[..frame.components.len()].iter_mut().enumerate() {
            let (across, down) = frame.axes(component);
            plane.fit(across, down, region);
        }
    }

    /// Writes the region as RGB, from planes with all blocks.
    pub fn write_rgb(&mut self, colour: ColourSpace, region: &Region, out: &mut [u8], stride: usize) {
        if region.columns.is_empty() {
            return;
        }
        let width = 3 * region.columns.len();
        for (y, out) in region.rows.clone().zip(out.chunks_mut(stride)) {
            for (plane, rows) in self.planes[..colour.components()].iter().zip(&mut self.rows) {
                let (near, far) = plane.down.rows(y);
                rows.fill(&UpsampleInput {
                    near: plane.row(near),
                    far: far.map(|far| plane.row(far)),
                    y,
                    first: plane.columns.start * BLOCK,
                    axis: &plane.across,
                    columns: &region.columns,
                });
            }
            colour::to_rgb(colour, self.rows.each_ref().map(Upsampler::values), &mut out[..width]);
        }
    }

    /// Frees the memory of large images.
    pub fn shrink(&mut self) {
        for buffer in self.planes.iter_mut().map(|plane| &mut plane.values).chain([&mut self.scan]) {
            if buffer.capacity() > MAX_KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
    }
}
