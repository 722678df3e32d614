//! The steps of a learner.

use layers::{Parameters, Pass};
use tensor::Backend;

use super::Learner;
use crate::Result;
use crate::loss::BatchLoss;
use crate::metrics::{CompletedStep, PendingMetrics};
use crate::step::{Accumulation, StepOptions, preallocate, step_with};

impl<B: Backend, M: Parameters<B>> Learner<B, M> {
    /// Takes a step on one batch, or gathers its gradients for one. Returns whether the step was taken.
    pub(super) fn take_batch<T>(
        &mut self,
        batch: T,
        batches_per_epoch: usize,
        gathered: &mut Accumulation<B>,
        loss: &mut impl FnMut(&M, T, &mut Pass<B>) -> Result<BatchLoss<B>>,
    ) -> Result<bool> {
        let rate = self.schedule.rate(self.learning_rate, self.progress.epochs(batches_per_epoch));
        let options = StepOptions {
            seed: self.seed,
            step: self.mask_number(batches_per_epoch, gathered.batches()),
            learning_rate: rate * self.rate_factor,
            require_finite_loss: self.reads_each_step(),
        };
        let forward = |module: &M, pass: &mut Pass<B>| loss(module, batch, pass);
        if self.accumulate == 1 {
            let metrics = step_with(&mut self.module, &mut self.optimizer, options, forward)?;
            return self.complete(vec![metrics], options.learning_rate);
        }
        preallocate(&self.module, &mut self.optimizer)?;
        gathered.add(&mut self.module, options, forward).map_err(|error| error.at_step(self.progress.step + 1))?;
        let batches = gathered.batches();
        if batches < self.accumulate && self.progress.batch + batches < batches_per_epoch {
            return Ok(false);
        }
        let gathered = std::mem::take(gathered);
        let metrics = gathered.update(&mut self.module, &mut self.optimizer, options.learning_rate)?;
        self.complete(metrics, options.learning_rate)
    }

    /// The number from which the dropout masks of a batch follow: that of the step, or, with several batches per step,
    /// that of the batch.
    fn mask_number(&self, batches_per_epoch: usize, gathered: usize) -> u64 {
        if self.accumulate == 1 {
            return self.progress.step;
        }
        self.progress.epoch * batches_per_epoch as u64 + (self.progress.batch + gathered) as u64
    }

    /// Counts a step with the metrics of its batches.
    fn complete(&mut self, metrics: Vec<PendingMetrics<B>>, learning_rate: f64) -> Result<bool> {
        if let Some(average) = &mut self.average {
            average.update(&self.module)?;
        }
        self.progress.advance_by(metrics.len());
        let step = self.progress.step;
        let epoch = self.progress.epoch;
        self.metrics.push(CompletedStep { step, epoch, learning_rate, metrics });
        Ok(true)
    }

    /// Calls `f` with the module whose weights are their moving average; `None` if there is none.
    pub fn with_average<R>(&mut self, f: impl FnOnce(&M) -> R) -> Option<R> {
        let average = self.average.as_mut()?;
        average.swap(&mut self.module);
        let result = f(&self.module);
        average.swap(&mut self.module);
        Some(result)
    }
}
