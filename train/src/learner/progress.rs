//! The position of a training.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::MetricSums;

/// The position of a training: everything that counts steps. It is saved in checkpoints.
///
/// ```
/// use alexnet_train::Progress;
///
/// let mut progress = Progress::default();
/// progress.advance();
/// assert_eq!((progress.step, progress.epoch, progress.batch), (1, 0, 1));
/// progress.next_epoch();
/// assert_eq!((progress.step, progress.epoch, progress.batch), (1, 1, 0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Progress {
    /// Steps taken.
    pub step: u64,
    /// Epochs completed.
    pub epoch: u64,
    /// Batches of the current epoch used.
    pub batch: usize,
    /// Sums of the metrics of the current epoch.
    pub metrics: MetricSums,
    /// The newest of the values that callbacks record, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded: BTreeMap<String, f64>,
}

impl Progress {
    /// Counts a step on one batch.
    pub fn advance(&mut self) {
        self.advance_by(1);
    }

    /// Counts a step on several batches.
    pub fn advance_by(&mut self, batches: usize) {
        self.step += 1;
        self.batch += batches;
    }

    /// Begins the next epoch.
    pub fn next_epoch(&mut self) {
        self.epoch += 1;
        self.batch = 0;
        self.metrics = MetricSums::default();
    }

    /// Epochs completed, with the fraction of the current one.
    pub fn epochs(&self, batches_per_epoch: usize) -> f64 {
        self.epoch as f64 + self.batch as f64 / batches_per_epoch as f64
    }
}
