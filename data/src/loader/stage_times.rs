//! The time that a loader's threads spend in each stage.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time that a loader's threads have spent in each stage, summed over the threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Reading stored images that need no decoding, and checking them.
    pub storage: Duration,
    /// Reading and decoding of the other images.
    pub decode: Duration,
    /// Augmentation of pixels.
    pub augment: Duration,
}

impl StageTimes {
    /// The sums of two loaders.
    pub fn plus(self, other: Self) -> Self {
        Self {
            storage: self.storage + other.storage,
            decode: self.decode + other.decode,
            augment: self.augment + other.augment,
        }
    }
}

/// A stage of a loader.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    Storage,
    Decode,
    Augment,
}

/// Sums of nanoseconds by stage.
#[derive(Debug, Default)]
pub(super) struct StageClock([AtomicU64; 3]);

impl StageClock {
    /// Does some work of a stage. Work that fails does not count.
    pub fn time<T, E>(&self, stage: Stage, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let started = Instant::now();
        let done = work()?;
        self.0[stage as usize].fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(done)
    }

    pub fn times(&self) -> StageTimes {
        let [storage, decode, augment] =
            [0, 1, 2].map(|stage| Duration::from_nanos(self.0[stage].load(Ordering::Relaxed)));
        StageTimes { storage, decode, augment }
    }
}
