//! The position of a run.

use serde::{Deserialize, Serialize};

use crate::Progress;
use crate::evaluate::Evaluation;
use crate::log::{Clock, ValidationLine};
use crate::metrics::{MetricSums, WRONG};

/// The position of a run, and the sums of its current epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps taken.
    pub step: u64,
    /// Epochs completed.
    pub epoch: u64,
    /// Batches of the current epoch used.
    pub batch: usize,
    /// Steps taken at the last validation.
    pub validated_step: u64,
    /// Sum of the epoch's losses, each times the number of its images.
    pub loss_sum: f64,
    /// Images of the epoch whose most probable class was not their label.
    pub wrong: u64,
    /// Images of the epoch.
    pub images: u64,
}

impl Position {
    /// The position of a learner, after its last validation at `validated_step`.
    pub(crate) fn of(progress: &Progress, validated_step: u64) -> Self {
        let sums = &progress.metrics;
        Self {
            step: progress.step,
            epoch: progress.epoch,
            batch: progress.batch,
            validated_step,
            loss_sum: sums.loss,
            // A count, which f64 holds exactly.
            wrong: sums.others.get(WRONG).map_or(0, |wrong| *wrong as u64),
            images: sums.examples,
        }
    }

    /// The progress of a learner at this position.
    pub(crate) fn progress(&self) -> Progress {
        let others = [(WRONG.to_string(), self.wrong as f64)].into();
        let metrics = MetricSums { examples: self.images, loss: self.loss_sum, others };
        Progress { step: self.step, epoch: self.epoch, batch: self.batch, metrics, ..Progress::default() }
    }

    /// The mean training loss and the training top-1 error of the epoch.
    pub fn training_metrics(&self) -> [f64; 2] {
        let n = self.images.max(1) as f64;
        [self.loss_sum / n, self.wrong as f64 / n]
    }

    /// The epoch's line of the log, after `seconds` of training.
    pub fn validation_line(&self, result: &Evaluation, seconds: f64) -> ValidationLine {
        let [train_loss, train_top1_error] = self.training_metrics();
        ValidationLine {
            step: self.step,
            epoch: self.epoch + 1,
            train_loss,
            train_top1_error,
            loss: result.loss,
            top1_error: result.top1_error,
            top5_error: result.top5_error,
            last_weights: None,
            seconds,
            time: Clock::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::StepMetrics;

    #[test]
    fn losses_are_weighted_by_images_and_epochs_start_at_zero() {
        let mut progress = Progress::default();
        for (loss, wrong, examples) in [(2.0, 3.0, 4), (8.0, 1.0, 1)] {
            progress.advance();
            progress.metrics.add(&StepMetrics { loss, examples, sums: vec![(WRONG.into(), wrong)] });
        }
        let position = Position::of(&progress, 1);
        assert_eq!(Position { validated_step: 0, ..position.clone() }, Position::of(&position.progress(), 0));
        let result = Evaluation { images: 9, crops: 1, loss: 0.5, top1_error: 0.25, top5_error: 0.125 };
        let line = position.validation_line(&result, 2.5);
        assert_eq!((line.step, line.epoch), (2, 1));
        assert_eq!((line.train_loss, line.train_top1_error), (16.0 / 5.0, 4.0 / 5.0));
        assert_eq!((line.loss, line.top1_error, line.top5_error), (0.5, 0.25, 0.125));
        assert_eq!((line.seconds, line.time.len()), (2.5, "2026-01-01T00:00:00Z".len()));
        progress.next_epoch();
        let next = Position::of(&progress, 2);
        assert_eq!(next, Position { step: 2, epoch: 1, validated_step: 2, ..Position::default() });
    }
}
