//! Random values in sequence.

use tensor::random::Stream;

/// A sequence of random values from a stream.
pub struct Dice {
    stream: Stream,
    next: u64,
}

impl Dice {
    pub fn new(stream: Stream) -> Self {
        Self { stream, next: 0 }
    }

    /// A value from `low` to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        self.next += 1;
        low + (high - low) * self.stream.uniform(self.next - 1)
    }

    /// A whole number in `0..n`; `n` must not be 0.
    pub fn below(&mut self, n: u32) -> u32 {
        self.next += 1;
        self.stream.below(self.next - 1, n)
    }

    /// An angle in radians, any direction.
    pub fn angle(&mut self) -> f32 {
        self.between(0.0, std::f32::consts::TAU)
    }

    /// Two independent values of the standard normal distribution.
    pub fn normals(&mut self) -> [f32; 2] {
        self.next = (self.next + 3) / 2 * 2;
        let first = self.next - 2;
        [self.stream.normal(first) as f32, self.stream.normal(first + 1) as f32]
    }
}
