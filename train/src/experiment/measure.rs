//! The measures of an experiment: what is taken of a run, in which unit, and from where.

use serde::{Deserialize, Serialize};

use crate::log::ValidationLine;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Top-1 error on the validation images after the last epoch, one crop.
    Top1,
    /// Top-5 error on the validation images after the last epoch, one crop.
    Top5,
    /// Top-1 error, averaged over ten crops (paper, section 4.1).
    Top1TenCrops,
    /// Top-5 error, averaged over ten crops.
    Top5TenCrops,
    /// Mean training top-1 error of the last epoch, with augmentation and dropout.
    TrainingTop1,
    /// Epochs until the training error falls to the threshold.
    EpochsToTrainingError,
    /// Epochs until the validation error falls to the threshold.
    EpochsToValidationError,
    /// Seconds of training until the validation error falls to the threshold.
    SecondsToValidationError,
}

impl Measure {
    /// The unit of its values: `%`, `epochs` or `s`.
    pub fn unit(self) -> &'static str {
        match self {
            Self::EpochsToTrainingError | Self::EpochsToValidationError => "epochs",
            Self::SecondsToValidationError => "s",
            _ => "%",
        }
    }

    /// A heading, for a threshold in percent.
    pub fn heading(self, threshold: Option<f64>) -> String {
        let percent = threshold.map_or(String::new(), |threshold| format!(" {}", threshold * 100.0));
        match self {
            Self::Top1 => "top-1 error (%)".into(),
            Self::Top5 => "top-5 error (%)".into(),
            Self::Top1TenCrops => "top-1, ten crops (%)".into(),
            Self::Top5TenCrops => "top-5, ten crops (%)".into(),
            Self::TrainingTop1 => "training error (%)".into(),
            Self::EpochsToTrainingError => format!("epochs to{percent} % training error"),
            Self::EpochsToValidationError => format!("epochs to{percent} % error"),
            Self::SecondsToValidationError => format!("seconds to{percent} % error"),
        }
    }

    /// Whether it needs a threshold.
    pub fn needs_threshold(self) -> bool {
        self.unit() != "%"
    }

    /// Crops of the test that it is taken from; none if it is in the logs of the run.
    pub fn crops(self) -> Option<usize> {
        matches!(self, Self::Top1TenCrops | Self::Top5TenCrops).then_some(10)
    }

    /// Whether it is the top-5 error of a test, rather than the top-1 error.
    pub fn is_top5(self) -> bool {
        matches!(self, Self::Top5 | Self::Top5TenCrops)
    }

    /// Whether networks that are averaged have it.
    pub fn is_of_average(self) -> bool {
        matches!(self, Self::Top1 | Self::Top5 | Self::Top1TenCrops | Self::Top5TenCrops)
    }

    /// Its value, from the lines of `validation.jsonl`, one an epoch. None if the run did not come so far, and for a
    /// measure of a test with several crops.
    pub fn of_log(self, lines: &[ValidationLine], threshold: Option<f64>) -> Option<f64> {
        let last = lines.last()?;
        match self {
            Self::Top1 => Some(100.0 * last.top1_error),
            Self::Top5 => Some(100.0 * last.top5_error),
            Self::TrainingTop1 => Some(100.0 * last.train_top1_error),
            Self::Top1TenCrops | Self::Top5TenCrops => None,
            Self::EpochsToTrainingError => {
                // The mean of an epoch is that of its middle.
                let points = lines.iter().map(|line| (line.epoch as f64 - 0.5, line.train_top1_error));
                crossing(points, threshold?)
            }
            Self::EpochsToValidationError => {
                crossing(lines.iter().map(|line| (line.epoch as f64, line.top1_error)), threshold?)
            }
            Self::SecondsToValidationError => {
                let reached = lines.iter().find(|line| line.top1_error <= threshold.unwrap_or(0.0));
                reached.map(|line| line.seconds)
            }
        }
    }

    /// The value that a run has not reached yet whose errors never fell to the threshold: a lower bound of
    /// [`of_log`](Self::of_log). None for measures without a threshold.
    pub fn lower_bound(self, lines: &[ValidationLine]) -> Option<f64> {
        let last = lines.last()?;
        match self {
            Self::EpochsToTrainingError => Some(last.epoch as f64 - 0.5),
            Self::EpochsToValidationError => Some(last.epoch as f64),
            Self::SecondsToValidationError => Some(last.seconds),
            _ => None,
        }
    }
}

/// The first x at which y, linear between the points, is at most `level`.
fn crossing(points: impl Iterator<Item = (f64, f64)>, level: f64) -> Option<f64> {
    let mut before: Option<(f64, f64)> = None;
    for (x, y) in points {
        if y <= level {
            return Some(before.map_or(x, |(x0, y0)| x0 + (x - x0) * (y0 - level) / (y0 - y)));
        }
        before = Some((x, y));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(errors: &[f64]) -> Vec<ValidationLine> {
        let line = |(epoch, error): (u64, &f64)| ValidationLine {
            step: 10 * epoch,
            epoch,
            train_loss: 1.0,
            train_top1_error: *error,
            loss: 1.0,
            top1_error: error + 0.1,
            top5_error: error / 2.0,
            last_weights: None,
            seconds: epoch as f64 * 4.0,
            time: String::new(),
        };
        (1..).zip(errors).map(line).collect()
    }

    #[test]
    fn values_are_those_of_the_last_epoch_or_of_the_threshold() {
        let log = lines(&[0.5, 0.3, 0.2]);
        let value = |measure: Measure| measure.of_log(&log, Some(0.25));
        let near = |value: Option<f64>, expected: f64| assert!((value.unwrap() - expected).abs() < 1e-9, "{value:?}");
        near(value(Measure::Top1), 30.0);
        near(value(Measure::Top5), 10.0);
        near(value(Measure::TrainingTop1), 20.0);
        near(value(Measure::EpochsToTrainingError), 2.0);
        assert_eq!(value(Measure::EpochsToValidationError), None);
        let bound = |measure: Measure| measure.lower_bound(&log);
        assert_eq!(bound(Measure::EpochsToValidationError), Some(3.0));
        assert_eq!(bound(Measure::EpochsToTrainingError), Some(2.5));
        assert_eq!(bound(Measure::SecondsToValidationError), Some(12.0));
        assert_eq!(bound(Measure::Top1), None);
        assert_eq!(Measure::SecondsToValidationError.of_log(&log, Some(0.4)), Some(8.0));
        near(Measure::EpochsToTrainingError.of_log(&log, Some(0.9)), 0.5);
        assert_eq!(value(Measure::Top1TenCrops), None);
        assert_eq!(Measure::Top1.of_log(&[], None), None);
    }

    #[test]
    fn headings_have_units() {
        assert_eq!(Measure::EpochsToTrainingError.heading(Some(0.25)), "epochs to 25 % training error");
        assert_eq!(Measure::Top1.heading(None), "top-1 error (%)");
    }
}
