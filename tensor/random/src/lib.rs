#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

/// Multipliers of a round of Philox 4x32, for implementations on vectors and on GPUs.
pub const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// The constants added to the key before each round but the first.
pub const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The ten rounds of Philox 4x32: four random words from a 128-bit counter under a 64-bit key.
///
/// ```
/// // A known answer of the authors' library, Random123.
/// assert_eq!(alexnet_random::philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
/// ```
#[inline]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let a = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        let high_a = (a >> 32) as u32;
        let high_b = (b >> 32) as u32;
        counter = [high_b ^ counter[1] ^ key[0], b as u32, high_a ^ counter[3] ^ key[1], a as u32];
    }
    counter
}

/// A sequence of random values, for one purpose at one step. It has no state: any value of it is computed from its
/// index.
///
/// ```
/// use alexnet_random::{Stream, purpose};
///
/// let stream = Stream::new(2012, purpose::USER, 0);
/// let values: Vec<f32> = (0..4).map(|index| stream.uniform(index)).collect();
/// assert_eq!(values[3], stream.uniform(3));
/// assert_ne!(values, (0..4).map(|index| Stream::new(2012, purpose::USER, 1).uniform(index)).collect::<Vec<_>>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The run's seed.
    pub seed: u64,
    /// The purpose of the values, e.g. [`purpose::DROPOUT`] plus the layer's number.
    pub purpose: u32,
    /// The training step, epoch or sample that the values belong to.
    pub step: u64,
}

/// Disjoint ranges of [`Stream::purpose`]: the first number of each.
pub mod purpose {
    /// Initial weights, plus the parameter's number.
    pub const INIT: u32 = 0x1000_0000;
    /// Dropout masks, plus the layer's number.
    pub const DROPOUT: u32 = 0x2000_0000;
    /// The order of samples in an epoch.
    pub const SHUFFLE: u32 = 0x3000_0000;
    /// The augmentation of one sample.
    pub const AUGMENT: u32 = 0x4000_0000;
    /// For users of this crate: this number and all above.
    pub const USER: u32 = 0x8000_0000;
}

impl Stream {
    /// The stream of `purpose` at `step` under `seed`.
    pub fn new(seed: u64, purpose: u32, step: u64) -> Self {
        Self { seed, purpose, step }
    }

    /// Words `4 * block .. 4 * block + 4` of the sequence.
    #[inline]
    pub fn block(&self, block: u32) -> [u32; 4] {
        philox(
            [block, self.purpose, self.step as u32, (self.step >> 32) as u32],
            [self.seed as u32, (self.seed >> 32) as u32],
        )
    }

    /// Word `index` of the sequence, for `index` below 2^34.
    #[inline]
    pub fn word(&self, index: u64) -> u32 {
        self.block((index / 4) as u32)[(index % 4) as usize]
    }

    /// A value in [0, 1) with 24 random bits.
    #[inline]
    pub fn uniform(&self, index: u64) -> f32 {
        to_uniform(self.word(index))
    }

    /// A uniform integer in `0..n`, with a bias of at most `n / 2^32`; `n` must not be 0.
    #[inline]
    pub fn below(&self, index: u64, n: u32) -> u32 {
        ((u64::from(self.word(index)) * u64::from(n)) >> 32) as u32
    }

    /// A value of the standard normal distribution, by the Box-Muller transform of a pair of words.
    #[inline]
    pub fn normal(&self, index: u64) -> f64 {
        let words = self.block((index / 4) as u32);
        let pair = if index % 4 < 2 { [words[0], words[1]] } else { [words[2], words[3]] };
        to_normals(pair)[(index % 2) as usize]
    }

    /// A random permutation of `0..n` (Fisher-Yates shuffle).
    ///
    /// ```
    /// let mut order = alexnet_random::Stream::new(1, alexnet_random::purpose::SHUFFLE, 0).permutation(100);
    /// assert_ne!(order[..3], [0, 1, 2]);
    /// order.sort_unstable();
    /// assert!(order.into_iter().eq(0..100));
    /// ```
    pub fn permutation(&self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i as usize, self.below(u64::from(i), i + 1) as usize);
        }
        order
    }
}

/// Converts a random word to a value in [0, 1) with 24 random bits, exact in `f32`.
#[inline(always)]
pub fn to_uniform(word: u32) -> f32 {
    // Signed integers, which all vector units convert.
    (word >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

/// Converts two random words to two independent standard normal values, within +-6.7.
#[inline]
pub fn to_normals(words: [u32; 2]) -> [f64; 2] {
    // Plus half a step: the logarithm of zero never occurs.
    let u = (f64::from(words[0]) + 0.5) / 4_294_967_296.0;
    let angle = std::f64::consts::TAU * f64::from(words[1]) / 4_294_967_296.0;
    let radius = (-2.0 * u.ln()).sqrt();
    [radius * angle.cos(), radius * angle.sin()]
}
