//! Random numbers for pixel augmentation.

use tensor::random::{Stream, to_uniform};

/// Sequential random numbers from a sample's stream. Each augmentation starts at a block of its own, so that none
/// shifts another's draws.
#[derive(Clone, Debug)]
pub(super) struct SampleRng {
    stream: Stream,
    next: u64,
}

/// First block of each augmentation in a sample's stream; blocks 0 and 1 belong to crop, mirroring and colour noise.
pub(super) const RESIZED_CROP_BLOCK: u32 = 16;
pub(super) const JITTER_BLOCK: u32 = 64;
pub(super) const ERASING_BLOCK: u32 = 96;
pub(super) const MIX_BLOCK: u32 = 160;

impl SampleRng {
    pub fn new(stream: Stream, block: u32) -> Self {
        Self { stream, next: 4 * u64::from(block) }
    }

    pub fn next_u32(&mut self) -> u32 {
        self.next += 1;
        self.stream.word(self.next - 1)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        f64::from(to_uniform(self.next_u32()))
    }

    /// Uniform in [from, to].
    pub fn uniform_in(&mut self, [from, to]: [f32; 2]) -> f64 {
        f64::from(from) + self.uniform() * f64::from(to - from)
    }

    /// Uniform in 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next_u32()) * n as u64) >> 32) as usize
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        tensor::random::to_normals([self.next_u32(), self.next_u32()])[0]
    }
}
