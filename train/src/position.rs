//! The position of a run.

use serde::{Deserialize, Serialize};

use crate::evaluate::Evaluation;
use crate::log::ValidationLine;
use crate::metrics::StepMetrics;

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
    /// Counts a step.
    pub fn advance(&mut self) {
        self.step += 1;
        self.batch += 1;
    }

    /// Adds the metrics of a step to the sums of the epoch.
    pub fn add(&mut self, metrics: StepMetrics, images: usize) {
        self.loss_sum += metrics.loss * images as f64;
        self.wrong += metrics.wrong as u64;
        self.images += images as u64;
    }

    /// The epoch's line of the log.
    pub fn validation_line(&self, result: &Evaluation) -> ValidationLine {
        let n = self.images.max(1) as f64;
        ValidationLine {
            step: self.step,
            epoch: self.epoch + 1,
            train_loss: self.loss_sum / n,
            train_top1_error: self.wrong as f64 / n,
            loss: result.loss,
            top1_error: result.top1_error,
            top5_error: result.top5_error,
        }
    }

    /// Begins the next epoch.
    pub fn next_epoch(&mut self) {
        let validated_step = self.validated_step;
        *self = Self { step: self.step, epoch: self.epoch + 1, validated_step, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_weighted_by_images_and_epochs_start_at_zero() {
        let mut position = Position::default();
        for (loss, wrong, images) in [(2.0, 3, 4), (8.0, 1, 1)] {
            position.advance();
            position.add(StepMetrics { loss, wrong }, images);
        }
        let result = Evaluation { images: 9, crops: 1, loss: 0.5, top1_error: 0.25, top5_error: 0.125 };
        let line = position.validation_line(&result);
        assert_eq!((line.step, line.epoch), (2, 1));
        assert_eq!((line.train_loss, line.train_top1_error), (16.0 / 5.0, 4.0 / 5.0));
        assert_eq!((line.loss, line.top1_error, line.top5_error), (0.5, 0.25, 0.125));
        position.validated_step = 2;
        position.next_epoch();
        assert_eq!(position, Position { step: 2, epoch: 1, validated_step: 2, ..Position::default() });
    }
}
