//! Settings of a run's length, seed, device and checkpoints.

use serde::{Deserialize, Serialize};

use super::setting::{Condition, is_amount, section};
use crate::EarlyStopping;
use crate::evaluate::Evaluation;
use crate::trainer::{TRAINING_ERROR, TRAINING_LOSS, VALIDATION_ERROR, VALIDATION_LOSS};

/// Maximum number of epochs: times the batches of the largest possible pack, the number of steps does not overflow.
pub(super) const MAX_EPOCHS: u64 = 1_000_000_000;

/// Metrics of an epoch, of which one decides whether a run improves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monitor {
    /// Top-1 error on the validation pack.
    #[default]
    ValidationTop1Error,
    /// Mean loss on the validation pack.
    ValidationLoss,
    /// Mean training loss of the epoch.
    TrainingLoss,
    /// Training top-1 error of the epoch, with augmentation and dropout.
    TrainingTop1Error,
}

impl Monitor {
    /// The name under which a run [records](crate::Learner::record) the metric for callbacks.
    pub fn name(self) -> &'static str {
        match self {
            Self::ValidationTop1Error => VALIDATION_ERROR,
            Self::ValidationLoss => VALIDATION_LOSS,
            Self::TrainingLoss => TRAINING_LOSS,
            Self::TrainingTop1Error => TRAINING_ERROR,
        }
    }

    /// Whether the metric is one of a validation.
    pub fn needs_validation(self) -> bool {
        matches!(self, Self::ValidationTop1Error | Self::ValidationLoss)
    }

    /// Whether the metric is a fraction of the images.
    pub fn is_error(self) -> bool {
        matches!(self, Self::ValidationTop1Error | Self::TrainingTop1Error)
    }

    /// The value of an epoch, given its training loss and top-1 error; `None` without the validation that it needs.
    pub(crate) fn value(self, [loss, top1_error]: [f64; 2], validation: Option<&Evaluation>) -> Option<f64> {
        match self {
            Self::ValidationTop1Error => validation.map(|result| result.top1_error),
            Self::ValidationLoss => validation.map(|result| result.loss),
            Self::TrainingLoss => Some(loss),
            Self::TrainingTop1Error => Some(top1_error),
        }
    }
}

const MONITORED: Condition = Condition {
    needed: "`data.val`, or a `run.monitor` of the training",
    holds: |config| config.data.val.is_some() || !config.run.monitor.needs_validation(),
    decided_by: "data.val",
    advice: "set data.val=PACK, or run.monitor=training-loss",
};

const EARLY_STOPPING: Condition = Condition {
    needed: "`run.early_stopping` above 0",
    holds: |config| config.run.early_stopping > 0,
    decided_by: "run.early_stopping",
    advice: "set run.early_stopping=10, the epochs without improvement after which the run ends",
};

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

section! {
    /// Length, seed, device and checkpoints
    run: RunConfig {
        /// Number of passes over the training images.
        #[range("in 1..=1000000000", |epochs| (1..=MAX_EPOCHS).contains(epochs))]
        #[on_resume = Silent]
        epochs: u64 = 90,

        /// Number of steps, in place of epochs.
        #[default_text = "none"]
        #[range("at least 1", |steps| *steps != Some(0))]
        #[on_resume = Silent]
        steps: Option<u64> = None,

        /// Batch size.
        #[range("at least 1", |batch| *batch > 0)]
        batch: usize = 128,

        /// Number of batches per step (gradient accumulation): a step has the gradient of the mean over all their images, as
        /// of one batch that is as many times larger; the last step of an epoch has the batches that are left. Steps are
        /// updates: checkpoints, `run.steps` and the log count them so. Gradients of all layers are then in memory at once.
        #[range("in 1..=1000000", |batches| (1..=1_000_000).contains(batches))]
        #[off = "1"]
        #[on_resume = Noted]
        accumulate: usize = 1,

        /// Random seed of the initial weights, the order of the images, augmentation and dropout.
        seed: u64 = 1,

        /// Number of CPU threads for kernels; loading uses as many more.
        #[default_text = "all"]
        #[range("in 1..=1024", |threads| (1..=1024).contains(threads))]
        #[on_resume = Silent]
        threads: usize = available_threads(),

        /// Device: `auto` (a GPU if there is one), `cpu`, `cuda[:N]` or `wgpu[:N]`; `run.toml` records the one used.
        #[on_resume = Silent]
        device: String = "auto".into(),

        /// Number format of activations and matrix products: `f32`, `tf32` or `bf16`. Weights are `f32`.
        #[range("f32, tf32 or bf16", |precision| ["f32", "tf32", "bf16"].contains(&precision.as_str()))]
        #[on_resume = Silent]
        precision: String = "f32".into(),

        /// Number of steps between additional checkpoints, besides those at the ends of epochs; 0: none.
        #[on_resume = Silent]
        checkpoint_steps: u64 = 0,

        /// Number of epochs between checkpoints that are saved however long ago the last one was; 0: none.
        #[on_resume = Silent]
        checkpoint_epochs: u64 = 0,

        /// Minutes from one checkpoint to the next, within epochs too; 0: no limit.
        #[range("in [0, 1000000]", |minutes| (0.0..=1e6).contains(minutes))]
        #[on_resume = Silent]
        checkpoint_minutes: f64 = 0.0,

        /// Metric that decides which checkpoint is best, when early stopping ends the run, and when the schedule `plateau`
        /// drops the learning rate: `validation-top1-error`, `validation-loss`, `training-loss` or `training-top1-error`.
        /// Less is better.
        #[needs(MONITORED)]
        #[on_resume = Noted]
        monitor: Monitor = Monitor::ValidationTop1Error,

        /// Number of epochs without an improvement of `run.monitor` after which the run ends; 0: none.
        #[off = "0"]
        #[needs(MONITORED)]
        #[on_resume = Silent]
        early_stopping: u64 = 0,

        /// Smallest decrease of `run.monitor` that counts as an improvement for early stopping; 0.001 of an error is 0.1 %.
        #[range("a finite number of at least 0", is_amount)]
        #[off = "0"]
        #[needs(EARLY_STOPPING)]
        #[on_resume = Silent]
        early_stopping_min_delta: f64 = 0.0,

        /// Number of newest checkpoints to keep; the best one is kept too.
        #[alias = "keep"]
        #[range("at least 1", |checkpoints| *checkpoints > 0)]
        #[on_resume = Silent]
        keep_checkpoints: usize = 2,

        /// Write event files of TensorBoard to `tensorboard` in the run folder: scalars, histograms of parameters and of
        /// their updates, kernels of the first layer, settings.
        #[on_resume = Silent]
        tensorboard: bool = true,
    }
}

impl RunConfig {
    /// Early stopping of this configuration, in its initial state.
    pub fn early_stopping(&self) -> Option<EarlyStopping> {
        let early = EarlyStopping::new(self.monitor.name(), self.early_stopping);
        (self.early_stopping > 0).then(|| early.min_delta(self.early_stopping_min_delta))
    }
}
