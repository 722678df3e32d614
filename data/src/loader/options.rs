//! Options of the loader.

use super::augment::Augment;
use super::input::Views;

/// Options of the loader.
///
/// ```
/// use alexnet_data::{Layout, LoaderOptions, Shuffle};
///
/// let options = LoaderOptions { shuffle: Shuffle::Full, layout: Layout::Nchw, ..LoaderOptions::default() };
/// assert_eq!(options.batch, 128);
/// ```
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Images per batch, at least 1. The last batch of an epoch may be shorter.
    pub batch: usize,
    /// Random seed of the order and of all augmentation.
    pub seed: u64,
    /// Order of the images in an epoch.
    pub shuffle: Shuffle,
    /// Drop the last batch of an epoch if it is incomplete.
    pub drop_last: bool,
    /// Number of threads, at least 1.
    pub threads: usize,
    /// Maximum size of prefetched batches in bytes; at least one batch is prefetched.
    pub prefetch_bytes: usize,
    /// Augmentation, for training.
    pub augment: Option<Augment>,
    /// Crops taken from each image without augmentation.
    pub views: Views,
    /// Order of the axes of crops.
    pub layout: Layout,
}

/// Order of the axes of a batch of crops.
///
/// ```
/// use alexnet_data::Layout;
///
/// assert_eq!(Layout::Nhwc.shape(128, 224), [128, 224, 224, 3]);
/// assert_eq!(Layout::Nchw.shape(128, 224), [128, 3, 224, 224]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// Image, row, column, channel: as `alexnet-tensor` and TensorFlow have them.
    #[default]
    Nhwc,
    /// Image, channel, row, column: as PyTorch, candle and burn have them.
    Nchw,
}

impl Layout {
    /// Shape of `n` crops of `crop` x `crop` pixels.
    pub fn shape(self, n: usize, crop: usize) -> [usize; 4] {
        match self {
            Self::Nhwc => [n, crop, crop, 3],
            Self::Nchw => [n, 3, crop, crop],
        }
    }
}

impl Default for LoaderOptions {
    /// Batches of 128 images (paper, section 5) in pack order, one centre crop each, on all cores, prefetching up to
    /// 256 MiB.
    fn default() -> Self {
        Self {
            batch: 128,
            seed: 0,
            shuffle: Shuffle::None,
            drop_last: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            prefetch_bytes: 256 << 20,
            augment: None,
            views: Views::Centre,
            layout: Layout::Nhwc,
        }
    }
}

/// Order of the images in an epoch, determined by (seed, epoch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shuffle {
    /// Order of the pack.
    #[default]
    None,
    /// A uniformly random permutation: fast if the pack fits in memory.
    Full,
    /// For a pack larger than memory: contiguous runs of up to 8 MiB of images are put in random order over all shards
    /// and grouped into windows, and the images of each window are shuffled. While one window is used, the next is read
    /// run by run.
    Window {
        /// Total size in bytes of the two windows in memory.
        bytes: u64,
    },
    /// A random order in which all classes that have images have equally many places, to within one. The images of small
    /// classes occur several times in an epoch, each time with an augmentation of its own, those of large classes only
    /// in some epochs; over the epochs, the images of a class occur equally often, to within one.
    Balanced,
}

impl Shuffle {
    /// Recommended order for a pack of `pack` stored bytes on a machine with `memory` bytes: [`Shuffle::Full`] if the
    /// pack takes at most three quarters of memory, otherwise windows of half the memory.
    ///
    /// ```
    /// use alexnet_data::Shuffle;
    ///
    /// assert_eq!(Shuffle::for_memory(20 << 30, 64 << 30), Shuffle::Full);
    /// assert_eq!(Shuffle::for_memory(250 << 30, 64 << 30), Shuffle::Window { bytes: 32 << 30 });
    /// ```
    pub fn for_memory(pack: u64, memory: u64) -> Self {
        if pack <= memory / 4 * 3 { Self::Full } else { Self::Window { bytes: memory / 2 } }
    }
}

impl std::fmt::Display for Shuffle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Full => f.write_str("full"),
            Self::Window { bytes } => write!(f, "window of {bytes} bytes"),
            Self::Balanced => f.write_str("balanced"),
        }
    }
}
