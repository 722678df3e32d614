//! The values of each component where a region needs them, and the pixels that they make.

use std::ops::Range;

use super::colour::{self, Colour};
use super::frame::{COMPONENTS, Frame};
use super::huffman::Cache;
use super::upsample::{Axis, Rows, Source};
use super::{BLOCK, Region};

/// Bytes of each buffer that a thread keeps from one image to the next.
pub(super) const KEPT: usize = 8 << 20;

/// What one image needs, kept for the next one.
#[derive(Debug, Default)]
pub(super) struct Planes {
    /// A scan without its stuffed bytes, and some zeros.
    pub scan: Vec<u8>,
    pub planes: [Plane; COMPONENTS],
    pub tables: Cache,
    rows: [Rows; COMPONENTS],
}

/// The part of a component that the region needs, in whole blocks.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub values: Vec<u8>,
    /// Which blocks.
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// How the component becomes as large as the image.
    across: Axis,
    down: Axis,
}

impl Plane {
    /// Bytes a row.
    pub fn stride(&self) -> usize {
        self.columns.len() * BLOCK
    }

    /// Where the values of a block begin, if it is one of those that the region needs.
    #[inline(always)]
    pub fn place(&self, x: usize, y: usize) -> Option<usize> {
        let is_needed = self.rows.contains(&y) && self.columns.contains(&x);
        is_needed.then(|| ((y - self.rows.start) * self.stride() + x - self.columns.start) * BLOCK)
    }

    /// Makes room for what `region` needs.
    fn fit(&mut self, across: Axis, down: Axis, region: &Region) {
        self.across = across;
        self.down = down;
        let blocks = |range: Range<usize>| range.start / BLOCK..range.end.div_ceil(BLOCK);
        self.columns = blocks(self.across.needed(&region.columns));
        self.rows = blocks(self.down.needed(&region.rows));
        // Whatever was there before: only what is transformed is used.
        self.values.resize(self.stride() * self.rows.len() * BLOCK, 0);
    }

    /// The values of row `y` from the first column of blocks on.
    fn row(&self, y: usize) -> &[u8] {
        &self.values[(y - self.rows.start * BLOCK) * self.stride()..][..self.stride()]
    }
}

impl Planes {
    /// Makes room for what `region` needs of each component.
    pub fn fit(&mut self, frame: &Frame, region: &Region) {
        for (component, plane) in self.planes[..frame.components.len()].iter_mut().enumerate() {
            let (across, down) = frame.axes(component);
            plane.fit(across, down, region);
        }
    }

    /// The region's pixels in RGB, of planes that have all blocks.
    pub fn write_rgb(&mut self, colour: Colour, region: &Region, out: &mut [u8], stride: usize) {
        if region.columns.is_empty() {
            return;
        }
        let width = 3 * region.columns.len();
        for (y, out) in region.rows.clone().zip(out.chunks_mut(stride)) {
            for (plane, rows) in self.planes[..colour.components()].iter().zip(&mut self.rows) {
                let (near, far) = plane.down.rows(y);
                rows.fill(&Source {
                    near: plane.row(near),
                    far: far.map(|far| plane.row(far)),
                    y,
                    first: plane.columns.start * BLOCK,
                    axis: &plane.across,
                    columns: &region.columns,
                });
            }
            colour::to_rgb(colour, self.rows.each_ref().map(Rows::values), &mut out[..width]);
        }
    }

    /// Gives back what a large image took.
    pub fn shrink(&mut self) {
        for buffer in self.planes.iter_mut().map(|plane| &mut plane.values).chain([&mut self.scan]) {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
    }
}
