//! The lines of a run's logs.

use serde::{Deserialize, Serialize};

use crate::evaluate::Evaluation;

/// A line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// The step, from 1.
    pub step: u64,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Mean cross-entropy of the batch in nats, before the update.
    pub loss: f64,
    /// Top-1 error of the batch, as a fraction.
    pub top1_error: f64,
    /// The learning rate.
    pub rate: f64,
    /// Images per second of this step, with loading.
    pub images_per_s: f64,
    /// Seconds that the step waited for its images.
    #[serde(default)]
    pub wait_s: f64,
    /// Seconds of training since the run began, without those between a stop and a resume.
    #[serde(default)]
    pub seconds: f64,
    /// Time of day, in UTC as in RFC 3339; empty in logs of early versions.
    #[serde(default)]
    pub time: String,
}

/// The training metrics of an epoch: a row of `metrics.csv`, with those of its validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EpochLine {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Mean training loss of the epoch.
    pub train_loss: f64,
    /// Mean training top-1 error of the epoch, with augmentation and dropout.
    pub train_top1_error: f64,
    /// Learning rate of the epoch's last step.
    pub rate: f64,
    /// Images trained per second, with loading and without validation; since the resume, if the epoch was resumed.
    pub images_per_s: f64,
    /// Fraction of that time that steps waited for their images.
    pub wait_share: f64,
    /// Seconds of training since the run began, without those between a stop and a resume.
    pub seconds: f64,
    /// Time of day, in UTC as in RFC 3339.
    pub time: String,
}

/// A line of `validation.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationLine {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Mean training loss of the epoch.
    pub train_loss: f64,
    /// Mean training top-1 error of the epoch, with augmentation and dropout.
    pub train_top1_error: f64,
    /// Mean cross-entropy over the validation pack, one crop.
    pub loss: f64,
    /// Top-1 error, as a fraction.
    pub top1_error: f64,
    /// Top-5 error, as a fraction.
    pub top5_error: f64,
    /// The validation of the last weights, if the values above are those of their moving average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_weights: Option<LastWeights>,
    /// Seconds of training since the run began, without those between a stop and a resume.
    #[serde(default)]
    pub seconds: f64,
    /// Time of day, in UTC as in RFC 3339; empty in logs of early versions.
    #[serde(default)]
    pub time: String,
}

/// A validation of the last weights of a run that averages them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastWeights {
    /// Mean cross-entropy over the validation pack, one crop.
    pub loss: f64,
    /// Top-1 error, as a fraction.
    pub top1_error: f64,
    /// Top-5 error, as a fraction.
    pub top5_error: f64,
}

impl LastWeights {
    /// The values of a validation.
    pub(crate) fn of(result: &Evaluation) -> Self {
        let Evaluation { loss, top1_error, top5_error, .. } = *result;
        Self { loss, top1_error, top5_error }
    }
}

impl ValidationLine {
    /// The line without its times, which differ between equal runs.
    pub fn without_times(&self) -> Self {
        Self { seconds: 0.0, time: String::new(), ..self.clone() }
    }
}
