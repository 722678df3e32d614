//! How batches are made.

use super::augment::Augment;
use super::input::Views;

/// How batches are made.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Images a batch, at least 1. The last batch of an epoch may be shorter.
    pub batch: usize,
    /// Seed of the order and of all draws.
    pub seed: u64,
    /// The order of an epoch's images.
    pub shuffle: Shuffle,
    /// Leave out a last batch that would be short.
    pub drop_last: bool,
    /// Threads, at least 1.
    pub threads: usize,
    /// The most bytes of batches that are made ahead and wait; at least one batch does.
    pub prefetch_bytes: usize,
    /// How images are varied, for training.
    pub augment: Option<Augment>,
    /// What is cut from an image without [`Augment::random_crop`].
    pub views: Views,
}

impl Default for LoaderOptions {
    /// Batches of 128 (paper, section 5) in the pack's order, one centre crop each, on all cores, 512 MiB ahead.
    fn default() -> Self {
        Self {
            batch: 128,
            seed: 0,
            shuffle: Shuffle::None,
            drop_last: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            prefetch_bytes: 512 << 20,
            augment: None,
            views: Views::Centre,
        }
    }
}

/// The order of an epoch's images. Each follows from (seed, epoch) alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shuffle {
    /// That of the pack.
    #[default]
    None,
    /// A random order of all images, each as likely: fast where the pack fits into memory.
    Full,
    /// For a pack that is larger than memory: runs of up to 8 MiB of images that lie together, in random order over
    /// all shards; of them so many at a time that two such windows have `bytes`, shuffled within. While one window is
    /// used the next one is read, run by run.
    Window {
        /// Bytes of the two windows.
        bytes: u64,
    },
}

impl Shuffle {
    /// The usual choice for a pack of `pack` stored bytes on a machine with `memory` bytes: [`Shuffle::Full`] if the
    /// pack takes at most three quarters, else a window of half.
    pub fn for_memory(pack: u64, memory: u64) -> Self {
        if pack <= memory / 4 * 3 { Self::Full } else { Self::Window { bytes: memory / 2 } }
    }
}
