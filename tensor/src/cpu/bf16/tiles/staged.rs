//! Images laid out for convolutions on tiles: with zeros around them, one group of channels, and blocks of `stride`
//! pixels as the channels of one (space-to-depth), so that every convolution has stride 1.
//!
//! Position p of the output is then the window that starts at position p of the staged image, for all p at once: a tile
//! of 16 windows is 16 rows of it, whose distance is one position. Rows of the image share the zeros between them. The
//! few windows that go over the end of a row are computed and dropped.

use super::tile::{BLOCK, TERMS};
use crate::ops::conv2d::Geometry;

/// The sizes of a convolution on a staged image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Staged {
    /// Images.
    pub n: usize,
    pub groups: usize,
    /// Height, width and channels of all groups.
    pub input: [usize; 3],
    pub output: [usize; 3],
    /// Height and width in the image.
    pub image_kernel: [usize; 2],
    stride: [usize; 2],
    /// Zeros above and to the left.
    before: [usize; 2],
    /// Height and width on the staged image.
    pub kernel: [usize; 2],
    /// Channels of a position.
    pub channels: usize,
    /// Positions in a row.
    pub width: usize,
}

impl Staged {
    /// The forward convolution.
    pub fn forward(g: &Geometry) -> Self {
        let [kh, kw] = g.kernel;
        let [sy, sx] = g.stride;
        let kernel = [kh.div_ceil(sy), kw.div_ceil(sx)];
        let before = [g.padding.top, g.padding.left];
        let width = match g.stride[1] {
            1 => (g.input[1] + g.padding.left.max(g.padding.right)).max(g.output[1]),
            _ => g.output[1] + kernel[1] - 1,
        };
        Self {
            n: g.n,
            groups: g.groups,
            input: g.input,
            output: g.output,
            image_kernel: g.kernel,
            stride: g.stride,
            before,
            kernel,
            channels: sy * sx * g.input[2] / g.groups,
            width,
        }
    }

    /// The convolution of dy with mirrored kernels, whose output is dx. `None` if there is none: windows that lie apart,
    /// or more zeros around the image than the kernel has places.
    pub fn backward(g: &Geometry) -> Option<Self> {
        if g.stride != [1, 1] {
            return None;
        }
        let [kh, kw] = g.kernel;
        let top = (kh - 1).checked_sub(g.padding.top)?;
        let left = (kw - 1).checked_sub(g.padding.left)?;
        let right = (kw - 1).checked_sub(g.padding.right)?;
        (kh - 1).checked_sub(g.padding.bottom)?;
        Some(Self {
            n: g.n,
            groups: g.groups,
            input: g.output,
            output: g.input,
            image_kernel: g.kernel,
            stride: g.stride,
            before: [top, left],
            kernel: g.kernel,
            channels: g.output[2] / g.groups,
            width: (g.output[1] + left.max(right)).max(g.input[1]),
        })
    }

    /// Whether positions are blocks of several pixels.
    pub fn has_blocks(&self) -> bool {
        self.stride != [1, 1]
    }

    /// Input channels of a group.
    pub fn group_input(&self) -> usize {
        self.input[2] / self.groups
    }

    /// Output channels of a group.
    pub fn group_output(&self) -> usize {
        self.output[2] / self.groups
    }

    /// Windows of an image, those that are dropped among them.
    pub fn windows(&self) -> usize {
        self.output[0] * self.width
    }

    /// Terms of a row of the kernel: values of the staged image that lie one after another.
    pub fn run(&self) -> usize {
        self.kernel[1] * self.channels
    }

    /// Steps of a tile over a row of the kernel.
    pub fn run_steps(&self) -> usize {
        self.run().div_ceil(TERMS)
    }

    /// Steps over the whole kernel.
    pub fn steps(&self) -> usize {
        self.kernel[0] * self.run_steps()
    }

    /// The number of values in a staged image, with those that the last tiles read after it.
    pub fn len(&self) -> usize {
        let last = self.windows().next_multiple_of(BLOCK) + (self.kernel[0] - 1) * self.width;
        last * self.channels + self.run_steps() * TERMS
    }

    /// The places of the kernel's terms of one staged row, in the kernel of one group `[kh, kw, c / groups]`; `None`
    /// where a kernel that is not a multiple of the stride has none.
    pub fn place(&self, row: usize, term: usize) -> Option<usize> {
        let [kh, kw] = self.image_kernel;
        let c = self.group_input();
        let [sy, sx] = self.stride;
        let within = term % self.channels;
        let y = row * sy + within / (sx * c);
        let x = term / self.channels * sx + within / c % sx;
        (y < kh && x < kw).then(|| (y * kw + x) * c + within % c)
    }

    /// Copies one group of an image `[h, w, c]`. Places between the copied values keep their zeros.
    pub fn stage(&self, image: &[u16], group: usize, to: &mut [u16]) {
        if self.has_blocks() {
            self.stage_blocks(image, group, to);
        } else {
            self.stage_rows(image, group, to);
        }
    }

    fn stage_rows(&self, image: &[u16], group: usize, to: &mut [u16]) {
        let [_, w, c] = self.input;
        let channels = self.channels;
        for (y, row) in image.chunks_exact(w * c).enumerate() {
            let start = ((y + self.before[0]) * self.width + self.before[1]) * channels;
            let to = &mut to[start..start + w * channels];
            if self.groups == 1 {
                to.copy_from_slice(row);
                continue;
            }
            for (to, pixel) in to.chunks_exact_mut(channels).zip(row.chunks_exact(c)) {
                to.copy_from_slice(&pixel[group * channels..(group + 1) * channels]);
            }
        }
    }

    fn stage_blocks(&self, image: &[u16], group: usize, to: &mut [u16]) {
        let [_, w, c] = self.input;
        let [sy, sx] = self.stride;
        let group_c = self.group_input();
        for (y, row) in image.chunks_exact(w * c).enumerate() {
            let y = y + self.before[0];
            if y / sy >= self.output[0] + self.kernel[0] - 1 {
                break;
            }
            let line = &mut to[y / sy * self.width * self.channels..];
            let at = y % sy * sx * group_c;
            // The first block may begin in the zeros before the image.
            let skip = self.before[1] % sx;
            let first = self.before[1] / sx;
            let head = if skip == 0 { 0 } else { (sx - skip).min(w) };
            if head > 0 {
                let to = &mut line[first * self.channels + at + skip * group_c..];
                copy_group(&row[..head * c], c, group, group_c, to);
            }
            let first = first + usize::from(head > 0);
            let blocks = row[head * c..].chunks(sx * c).enumerate();
            for (x, block) in blocks.take_while(|(x, _)| first + x < self.width) {
                let to = &mut line[(first + x) * self.channels + at..];
                match <&[u16; 12]>::try_from(block) {
                    // The images of `paper`: 4 pixels of 3 values.
                    Ok(block) if self.groups == 1 => to[..12].copy_from_slice(block),
                    _ => copy_group(block, c, group, group_c, to),
                }
            }
        }
    }
}

/// Copies one group of the channels of pixels.
fn copy_group(pixels: &[u16], c: usize, group: usize, group_c: usize, to: &mut [u16]) {
    for (pixel, to) in pixels.chunks_exact(c).zip(to.chunks_exact_mut(group_c)) {
        to.copy_from_slice(&pixel[group * group_c..(group + 1) * group_c]);
    }
}
