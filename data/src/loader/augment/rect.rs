//! Rectangles in images and crops.

use super::rng::SampleRng;

/// A rectangle within a square image or crop, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rect {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Rect {
    /// Draws a rectangle within a square of `side`, with an area fraction within `scale` and an aspect ratio within
    /// `ratio`; `None` if ten tries do not fit (as in torchvision's RandomResizedCrop and RandomErasing).
    pub(super) fn draw(rng: &mut SampleRng, side: usize, scale: [f32; 2], ratio: [f32; 2]) -> Option<Self> {
        for _ in 0..10 {
            let area = (side * side) as f64 * rng.uniform_in(scale);
            let ratio = rng.uniform_in(ratio.map(f32::ln)).exp();
            let x = rng.next_u32();
            let y = rng.next_u32();
            let width = (area * ratio).sqrt().round() as usize;
            let height = (area / ratio).sqrt().round() as usize;
            if (1..=side).contains(&width) && (1..=side).contains(&height) {
                let offset = |word: u32, n: usize| ((u64::from(word) * (n + 1) as u64) >> 32) as usize;
                let left = offset(x, side - width);
                let top = offset(y, side - height);
                return Some(Self { left, top, width, height });
            }
        }
        None
    }
}

/// A square crop of an image of `size` x `size` x 3 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CropRect {
    pub size: usize,
    pub left: usize,
    pub top: usize,
    pub side: usize,
}

impl CropRect {
    /// Byte range of row `y` of the crop in the image.
    pub fn row(&self, y: usize) -> std::ops::Range<usize> {
        let start = 3 * ((self.top + y) * self.size + self.left);
        start..start + 3 * self.side
    }
}
