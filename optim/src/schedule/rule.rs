//! The built-in schedules, as an enum for configurations.

use std::f64::consts::PI;

use super::{LearningRate, Observed, ScheduleState, warmup};
use crate::error::{Range, check};
use crate::{Error, Result};

/// Rule of a learning-rate schedule. Epochs are passes over the training set, with fractions.
///
/// ```
/// use alexnet_optim::{Schedule, ScheduleRule};
///
/// let cosine = ScheduleRule::Cosine { epochs: 90.0, end: 0.0 };
/// let warmup = ScheduleRule::Warmup { epochs: 5.0, start: 0.1, then: Box::new(cosine) };
/// let schedule = Schedule::new(warmup)?;
/// assert_eq!(schedule.rate(0.1, 0.0), 0.1 * 0.1);
/// assert!(schedule.rate(0.1, 5.0) > 0.099);
/// assert_eq!(schedule.rate(0.1, 90.0), 0.0);
/// # Ok::<(), alexnet_optim::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "schedule", rename_all = "lowercase", deny_unknown_fields))]
#[non_exhaustive]
pub enum ScheduleRule {
    /// The base learning rate throughout.
    Constant,
    /// Multiplied by `factor` after each of `drop_epochs`. The authors' run #145: 25, 51, 79.
    Steps {
        /// Rising, each at least 0.
        drop_epochs: Vec<f64>,
        /// Above 0, at most 1.
        #[cfg_attr(feature = "serde", serde(default = "tenth"))]
        factor: f64,
    },
    /// base * gamma^epoch, smoothly.
    Exponential {
        /// Above 0, at most 1.
        gamma: f64,
    },
    /// From base to `end` * base over `epochs`, as (1 - epoch / epochs)^power: linear for power 1.
    Polynomial {
        /// Above 0.
        epochs: f64,
        /// Above 0.
        #[cfg_attr(feature = "serde", serde(default = "one"))]
        power: f64,
        /// Fraction of the base rate at the end, 0 to 1.
        #[cfg_attr(feature = "serde", serde(default))]
        end: f64,
    },
    /// From base to `end` * base over `epochs`, as (1 + cos(pi epoch / epochs)) / 2 (Loshchilov and Hutter, 2017, without
    /// restarts).
    Cosine {
        /// Above 0.
        epochs: f64,
        /// Fraction of the base rate at the end, 0 to 1.
        #[cfg_attr(feature = "serde", serde(default))]
        end: f64,
    },
    /// From `start` * base up to base and down to `end` * base, each by half a cosine (Smith and Topin, 2018; the defaults
    /// are PyTorch's). Here base is the highest rate.
    OneCycle {
        /// Length of the cycle, above 0.
        epochs: f64,
        /// Fraction of the cycle in which the rate rises, above 0 and at most 1.
        #[cfg_attr(feature = "serde", serde(default = "rise"))]
        rise: f64,
        /// Fraction of the base rate at the start, 0 to 1.
        #[cfg_attr(feature = "serde", serde(default = "start"))]
        start: f64,
        /// Fraction of the base rate at the end, 0 to 1.
        #[cfg_attr(feature = "serde", serde(default = "end"))]
        end: f64,
    },
    /// Multiplied by `factor` when the validation error stops improving (paper, section 5: divided by 10, three times).
    Plateau {
        /// Above 0, at most 1.
        #[cfg_attr(feature = "serde", serde(default = "tenth"))]
        factor: f64,
        /// Number of consecutive observations without improvement before a drop, at least 1.
        #[cfg_attr(feature = "serde", serde(default = "patience"))]
        patience: u32,
        /// Minimum decrease of the error that counts as an improvement, at least 0.
        #[cfg_attr(feature = "serde", serde(default))]
        threshold: f64,
        /// Maximum number of drops. When patience runs out after the last of them, training may stop.
        #[cfg_attr(feature = "serde", serde(default = "max_drops", alias = "times"))]
        max_drops: u32,
    },
    /// Another schedule, whose rate is multiplied by a factor that rises linearly from `start` to 1 over the first `epochs`
    /// (Goyal et al., 2017). The other counts its epochs from the beginning of the training.
    Warmup {
        /// Above 0.
        epochs: f64,
        /// Factor at the start, 0 to 1.
        #[cfg_attr(feature = "serde", serde(default = "tenth"))]
        start: f64,
        /// The other schedule.
        then: Box<ScheduleRule>,
    },
}

fn tenth() -> f64 {
    0.1
}

#[cfg(feature = "serde")]
fn one() -> f64 {
    1.0
}

fn rise() -> f64 {
    0.3
}

fn start() -> f64 {
    1.0 / 25.0
}

fn end() -> f64 {
    start() / 1e4
}

fn patience() -> u32 {
    5
}

fn max_drops() -> u32 {
    3
}

impl ScheduleRule {
    /// The paper's schedule: divided by 10 when the validation error stops improving, three times.
    pub fn plateau() -> Self {
        Self::Plateau { factor: tenth(), patience: patience(), threshold: 0.0, max_drops: max_drops() }
    }

    /// PyTorch's one-cycle schedule of this many epochs: the rate rises in the first 30 % from a 25th of the base rate.
    pub fn one_cycle(epochs: f64) -> Self {
        Self::OneCycle { epochs, rise: rise(), start: start(), end: end() }
    }
}

impl LearningRate for ScheduleRule {
    fn validate(&self) -> Result<()> {
        match self {
            Self::Constant => Ok(()),
            Self::Steps { drop_epochs, factor } => {
                check("factor", Range::Factor, *factor)?;
                drop_epochs.iter().try_for_each(|&e| check("drop_epochs", Range::NonNegative, e))?;
                if drop_epochs.windows(2).all(|pair| pair[0] < pair[1]) {
                    return Ok(());
                }
                Err(Error::setting("drop_epochs", "rising", format!("{drop_epochs:?}")))
            }
            Self::Exponential { gamma } => check("gamma", Range::Factor, *gamma),
            Self::Polynomial { epochs, power, end } => {
                check("epochs", Range::Positive, *epochs)?;
                check("power", Range::Positive, *power)?;
                check("end", Range::Part, *end)
            }
            Self::Cosine { epochs, end } => {
                check("epochs", Range::Positive, *epochs)?;
                check("end", Range::Part, *end)
            }
            Self::OneCycle { epochs, rise, start, end } => {
                check("epochs", Range::Positive, *epochs)?;
                check("rise", Range::Factor, *rise)?;
                check("start", Range::Part, *start)?;
                check("end", Range::Part, *end)
            }
            Self::Plateau { factor, patience, threshold, .. } => {
                check("factor", Range::Factor, *factor)?;
                check("threshold", Range::NonNegative, *threshold)?;
                match patience {
                    0 => Err(Error::setting("patience", "at least 1", 0)),
                    _ => Ok(()),
                }
            }
            Self::Warmup { epochs, start, then } => {
                warmup::validate(*epochs, *start)?;
                then.validate()
            }
        }
    }

    fn rate(&self, base: f64, epoch: f64, state: &ScheduleState) -> f64 {
        base * match self {
            Self::Constant => 1.0,
            Self::Steps { drop_epochs, factor } => {
                power(*factor, drop_epochs.iter().filter(|&&drop| drop <= epoch).count())
            }
            Self::Exponential { gamma } => gamma.powf(epoch),
            Self::Polynomial { epochs, power, end } => {
                let left = (1.0 - epoch / epochs).max(0.0).powf(*power);
                end + (1.0 - end) * left
            }
            Self::Cosine { epochs, end } => half_cosine(1.0, *end, epoch / epochs),
            Self::OneCycle { epochs, rise, start, end } => {
                let part = epoch / epochs;
                if part < *rise {
                    half_cosine(*start, 1.0, part / rise)
                } else {
                    half_cosine(1.0, *end, (part - rise) / (1.0 - rise))
                }
            }
            Self::Plateau { factor, .. } => power(*factor, state.drops as usize),
            Self::Warmup { epochs, start, then } => {
                return then.rate(base, epoch, state) * warmup::factor(*epochs, *start, epoch);
            }
        }
    }

    fn observe(&self, error: f64, state: &mut ScheduleState) -> Observed {
        match self {
            Self::Plateau { patience, threshold, max_drops, .. } => {
                state.observe(error, *patience, *threshold, *max_drops)
            }
            Self::Warmup { then, .. } => then.observe(error, state),
            _ => Observed::Ignored,
        }
    }

    fn max_drops(&self) -> u32 {
        match self {
            Self::Plateau { max_drops, .. } => *max_drops,
            Self::Warmup { then, .. } => then.max_drops(),
            _ => 0,
        }
    }
}

/// From `first` at 0 to `last` at 1 and beyond, along half a cosine.
fn half_cosine(first: f64, last: f64, part: f64) -> f64 {
    if part >= 1.0 {
        return last;
    }
    last + (first - last) * (1.0 + (PI * part).cos()) / 2.0
}

/// factor^n. For a factor of 1/k it divides by k^n, so that 0.01 dropped once by 0.1 is exactly 0.001.
fn power(factor: f64, n: usize) -> f64 {
    let inverse = (1.0 / factor).round();
    let exponent = i32::try_from(n).unwrap_or(i32::MAX);
    if inverse.is_finite() && 1.0 / inverse == factor { 1.0 / inverse.powi(exponent) } else { factor.powi(exponent) }
}
