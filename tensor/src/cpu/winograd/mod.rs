//! Winograd convolution for 3x3 and 5x5 kernels. A tile of 7x7 inputs takes 49 multiplications instead of 225: for 5x5
//! outputs of a 3x3 kernel, for 3x3 outputs of a 5x5 kernel. AlexNet's maps of 13 and 27 are 3 and 9 such tiles wide.
//! Its first convolution, 11x11 at stride 4, becomes 3x3 by space-to-depth.
//!
//! Tiles are transformed, multiplied with the transformed kernels at each of 49 points (a matrix product
//! `[tiles, in] [in, out]` per point) and transformed back. Gradients of weights take the transposed transforms in the
//! reverse order. In `f32` the transforms lose about one digit: errors stay below 1e-5 of the absolute sum of the
//! terms. [`Algorithms::Exact`](super::Algorithms::Exact) disables all of this.
//!
//! Each thread works on its own block of tiles, for y and dx on a panel of output channels at a time, so that the
//! panel's products stay in the L2 cache. For dw of many channels, where the sums are too large for one copy per
//! thread, all threads work on one block.

#![allow(clippy::needless_range_loop, reason = "columns of small matrices")]

mod forward;
mod gradient;
mod inputs;
mod kernels;
mod outputs;
mod points;
mod rows;
mod space_to_depth;
#[cfg(test)]
mod tests;
mod transform;

use super::simd::{LANES, Level};
use crate::ops::conv2d::Geometry;
pub(super) use forward::Operands;
pub(super) use rows::RowTiles;
use space_to_depth::SpaceToDepth;
use transform::{POINTS, TILE_POINTS};

/// Kernel sizes with transforms.
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

/// A convolution of stride 1 in tiles, if need be after [space-to-depth](space_to_depth).
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
    /// Makes the input of images, for a larger stride.
    space_to_depth: Option<SpaceToDepth>,
    groups: usize,
    /// Tiles transformed and multiplied at a time.
    block: usize,
}

/// Tiles of a block: the transformed kernels are read once per block, and its points and products must fit the L2
/// cache.
const BLOCK_TILES: usize = 48;
/// Tiles of a block of dw: the sums, as large as the transformed kernels, are read and written once per block.
const GRADIENT_BLOCK_TILES: usize = 96;
/// With fewer tiles, transforming the kernels each time takes longer than the multiplications save.
const MIN_TILES: usize = 96;
/// From this factor on, even a single image is faster: transformed kernels are cached until the weights change.
const MIN_SPEEDUP: usize = 2;

impl Tiles {
    /// The tiles of y, if they are faster than plain sums.
    pub fn forward(g: &Geometry) -> Option<Self> {
        let tiles = Self::new(g)?;
        if tiles.speedup() >= MIN_SPEEDUP { Some(tiles.limit_block()) } else { tiles.when_profitable() }
    }

    /// The tiles of dx, a convolution of dy with the kernels rotated by 180 degrees.
    pub fn backward(g: &Geometry) -> Option<Self> {
        let forward = Self::new(g).filter(|tiles| tiles.space_to_depth.is_none())?;
        let reach = forward.kernel.side() - 1;
        let pads = [reach.checked_sub(g.padding.top)?, reach.checked_sub(g.padding.left)?];
        Self { input: g.output, output: g.input, pads, ..forward }.when_profitable()
    }

    /// The tiles of dw.
    pub fn weights(g: &Geometry) -> Option<Self> {
        let tiles = Self::new(g)?;
        Self { block: GRADIENT_BLOCK_TILES, ..tiles }.when_profitable()
    }

    fn new(g: &Geometry) -> Option<Self> {
        let (space_to_depth, input, side) = match SpaceToDepth::new(g) {
            Some(space_to_depth) => (Some(space_to_depth), space_to_depth.input(g), space_to_depth.side(g)),
            None if g.stride == [1, 1] => (None, g.input, g.kernel),
            None => return None,
        };
        let kernel = match side {
            [3, 3] => Kernel::Three,
            [5, 5] => Kernel::Five,
            _ => return None,
        };
        let fills_vectors = |c: usize| c > 0 && (c / g.groups).is_multiple_of(LANES);
        if !fills_vectors(input[2]) || !fills_vectors(g.output[2]) {
            return None;
        }
        Some(Self {
            level: Level::get(),
            kernel,
            n: g.n,
            input,
            output: g.output,
            pads: [g.padding.top, g.padding.left],
            space_to_depth,
            groups: g.groups,
            block: BLOCK_TILES,
        })
    }

    fn when_profitable(self) -> Option<Self> {
        (self.tiles() >= MIN_TILES).then(|| self.limit_block())
    }

    fn limit_block(self) -> Self {
        Self { block: self.block.min(self.tiles()), ..self }
    }

    /// The multiplications of plain sums over those of the tiles, rounded down.
    fn speedup(&self) -> usize {
        let own = self.kernel.side().pow(2) * self.input[2];
        let patch = self.space_to_depth.as_ref().map_or(own, SpaceToDepth::kernel_len);
        self.output[0] * self.output[1] * patch / (TILE_POINTS * self.tiles_per_image() * self.input[2]).max(1)
    }

    /// Multiplications and additions of the products at all points; those of the transforms are not counted.
    pub fn flops(&self) -> f64 {
        2.0 * (TILE_POINTS * self.tiles()) as f64 * (self.group()[0] * self.output[2]) as f64
    }

    /// Values of all images.
    fn images_len(&self) -> usize {
        let image = self.space_to_depth.map_or(self.input, |space_to_depth| space_to_depth.image);
        self.n * image.iter().product::<usize>()
    }

    /// Values of one kernel, and of one output channel of dw.
    fn kernel_len(&self) -> usize {
        let own = self.kernel.side().pow(2) * self.group()[0];
        self.space_to_depth.as_ref().map_or(own, SpaceToDepth::kernel_len)
    }

    /// Rows and columns of tiles in an image.
    fn grid(&self) -> [usize; 2] {
        [self.output[0], self.output[1]].map(|len| len.div_ceil(self.kernel.outputs()))
    }

    fn tiles_per_image(&self) -> usize {
        self.grid().iter().product()
    }

    fn tiles(&self) -> usize {
        self.n * self.tiles_per_image()
    }

    /// Input and output channels of a group.
    fn group(&self) -> [usize; 2] {
        [self.input[2] / self.groups, self.output[2] / self.groups]
    }

    /// A tile's image, and the row and column of its first output.
    fn origin(&self, tile: usize) -> [usize; 3] {
        let [_, columns] = self.grid();
        let image = tile / self.tiles_per_image();
        let within = tile % self.tiles_per_image();
        let side = self.kernel.outputs();
        [image, within / columns * side, within % columns * side]
    }
}
