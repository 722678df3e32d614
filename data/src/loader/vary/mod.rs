//! Changes to the 8-bit pixels of a crop: what users of today expect beside the paper's augmentation. Definitions are
//! those of torchvision's transforms, which the names point to.

mod erase;
mod jitter;
mod mix;
mod resized;

use tensor::random::{Stream, to_uniform};

pub use erase::Erase;
pub use jitter::Jitter;
pub(super) use mix::mix_into;
pub use mix::{Mix, Mixed};
pub use resized::ResizedCrop;
pub(super) use resized::resize;

/// Random values one after another. Each kind of change begins at a block of its own, so that none moves another's.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    stream: Stream,
    at: u64,
}

/// The blocks of an image's stream; 0 and 1 are those of crop, mirror and colour.
pub(super) const RESIZED: u32 = 16;
pub(super) const JITTER: u32 = 64;
pub(super) const ERASE: u32 = 96;
pub(super) const MIX: u32 = 160;

impl Draws {
    pub fn new(stream: Stream, block: u32) -> Self {
        Self { stream, at: 4 * u64::from(block) }
    }

    pub fn word(&mut self) -> u32 {
        self.at += 1;
        self.stream.word(self.at - 1)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        f64::from(to_uniform(self.word()))
    }

    /// In [from, to].
    pub fn between(&mut self, [from, to]: [f32; 2]) -> f64 {
        f64::from(from) + self.unit() * f64::from(to - from)
    }

    /// In 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.word()) * n as u64) >> 32) as usize
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        tensor::random::to_normals([self.word(), self.word()])[0]
    }
}

/// A rectangle of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Area {
    /// A part of a square of `side`, of an area and a ratio of width to height that are drawn; none if ten tries give
    /// none that fits (torchvision's RandomResizedCrop and RandomErasing).
    fn draw(draws: &mut Draws, side: usize, scale: [f32; 2], ratio: [f32; 2]) -> Option<Self> {
        for _ in 0..10 {
            let area = (side * side) as f64 * draws.between(scale);
            let ratio = draws.between(ratio.map(f32::ln)).exp();
            let [x, y] = [draws.word(), draws.word()];
            let width = (area * ratio).sqrt().round() as usize;
            let height = (area / ratio).sqrt().round() as usize;
            if (1..=side).contains(&width) && (1..=side).contains(&height) {
                let place = |word: u32, n: usize| ((u64::from(word) * (n + 1) as u64) >> 32) as usize;
                let left = place(x, side - width);
                let top = place(y, side - height);
                return Some(Self { left, top, width, height });
            }
        }
        None
    }
}

/// A square part of an image of `size` x `size` x 3 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Square {
    pub size: usize,
    pub left: usize,
    pub top: usize,
    pub side: usize,
}

impl Square {
    /// The bytes of row `y` in the image.
    pub fn row(&self, y: usize) -> std::ops::Range<usize> {
        let start = 3 * ((self.top + y) * self.size + self.left);
        start..start + 3 * self.side
    }
}

/// Fails unless `range` rises within `within`.
fn check_range(option: &'static str, range: [f32; 2], within: [f32; 2]) -> crate::Result<()> {
    let [from, to] = range;
    if from <= to && from >= within[0] && to <= within[1] {
        return Ok(());
    }
    let expected = format!("two rising numbers of {} to {}", within[0], within[1]);
    Err(crate::Error::option(option, expected, format!("{from} to {to}")))
}
