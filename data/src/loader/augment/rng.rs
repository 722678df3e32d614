//! Random numbers for pixel augmentation.

use random::{Stream, to_normals, to_uniform};

/// Random numbers one after another, determined by a sample: its seed, epoch and index.
///
/// ```
/// use alexnet_data::SampleRng;
/// use alexnet_data::random::{Stream, purpose};
///
/// let mut rng = SampleRng::of(Stream::new(2012, purpose::USER, 7));
/// let angle = rng.uniform_in([-15.0, 15.0]);
/// assert!((-15.0..=15.0).contains(&angle));
/// assert!(rng.below(6) < 6);
/// ```
#[derive(Clone, Debug)]
pub struct SampleRng {
    stream: Stream,
    next: u64,
}

/// First block of each augmentation in a sample's stream, so that none shifts another's draws; blocks 0 and 1 belong to
/// crop, mirroring and colour noise.
pub(super) const RESIZED_CROP_BLOCK: u32 = 16;
pub(super) const JITTER_BLOCK: u32 = 64;
pub(super) const ERASING_BLOCK: u32 = 96;
pub(super) const MIX_BLOCK: u32 = 160;

impl SampleRng {
    /// The numbers of a stream from its beginning.
    pub fn of(stream: Stream) -> Self {
        Self::new(stream, 0)
    }

    pub(super) fn new(stream: Stream, block: u32) -> Self {
        Self { stream, next: 4 * u64::from(block) }
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.next += 1;
        self.stream.word(self.next - 1)
    }

    /// Uniform in [0, 1), with 24 random bits.
    pub fn uniform(&mut self) -> f64 {
        f64::from(to_uniform(self.next_u32()))
    }

    /// Uniform in [from, to].
    pub fn uniform_in(&mut self, [from, to]: [f32; 2]) -> f64 {
        f64::from(from) + self.uniform() * f64::from(to - from)
    }

    /// Uniform in `0..n`, with a bias of at most `n / 2^32`; `n` must be above 0 and at most 2^32.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next_u32()) * n as u64) >> 32) as usize
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        to_normals([self.next_u32(), self.next_u32()])[0]
    }
}
