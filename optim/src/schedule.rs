//! Learning rates over a training run.

use serde::{Deserialize, Serialize};

use crate::error::{Range, check};
use crate::{Error, Result};

/// How the learning rate changes. Epochs are passes over the training set so far, as a fraction within one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "lowercase", deny_unknown_fields)]
pub enum ScheduleRule {
    /// The base rate throughout.
    Constant,
    /// Times `factor` from each of `drop_epochs` on. The authors' run #145: 25, 51, 79.
    Steps {
        /// Rising, each at least 0.
        drop_epochs: Vec<f64>,
        /// Above 0, at most 1.
        #[serde(default = "tenth")]
        factor: f64,
    },
    /// base * gamma^epoch, smoothly.
    Exponential {
        /// Above 0, at most 1.
        gamma: f64,
    },
    /// From base to `end` * base over `epochs`, as (1 - epoch / epochs)^power; linear for power 1.
    Polynomial {
        /// Above 0.
        epochs: f64,
        /// Above 0.
        #[serde(default = "one")]
        power: f64,
        /// Share of the base rate at the end, 0 to 1.
        #[serde(default)]
        end: f64,
    },
    /// Times `factor` when the validation error stops improving (paper, section 5: divided by 10, three times).
    Plateau {
        /// Above 0, at most 1.
        #[serde(default = "tenth")]
        factor: f64,
        /// Observations in a row without improvement that make a drop, at least 1.
        #[serde(default = "patience")]
        patience: u32,
        /// What the error must fall below the best so far by to count as improvement, in the error's unit, at least 0.
        #[serde(default)]
        threshold: f64,
        /// Drops at most. Once they are used up and patience runs out again, training may stop.
        #[serde(default = "times")]
        times: u32,
    },
}

fn tenth() -> f64 {
    0.1
}

fn one() -> f64 {
    1.0
}

fn patience() -> u32 {
    5
}

fn times() -> u32 {
    3
}

impl ScheduleRule {
    /// The paper's schedule: divided by 10 when the validation error stops improving, three times.
    pub fn plateau() -> Self {
        Self::Plateau { factor: tenth(), patience: patience(), threshold: 0.0, times: times() }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the first one outside its range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Constant => Ok(()),
            Self::Steps { drop_epochs, factor } => {
                check("factor", Range::Factor, *factor)?;
                drop_epochs.iter().try_for_each(|&e| check("drop_epochs", Range::NonNegative, e))?;
                if drop_epochs.windows(2).all(|pair| pair[0] < pair[1]) {
                    Ok(())
                } else {
                    Err(setting("drop_epochs", "rising", format!("{drop_epochs:?}")))
                }
            }
            Self::Exponential { gamma } => check("gamma", Range::Factor, *gamma),
            Self::Polynomial { epochs, power, end } => {
                check("epochs", Range::Positive, *epochs)?;
                check("power", Range::Positive, *power)?;
                if (0.0..=1.0).contains(end) {
                    Ok(())
                } else {
                    Err(setting("end", "at least 0 and at most 1", end.to_string()))
                }
            }
            Self::Plateau { factor, patience, threshold, .. } => {
                check("factor", Range::Factor, *factor)?;
                check("threshold", Range::NonNegative, *threshold)?;
                match patience {
                    0 => Err(setting("patience", "at least 1", "0".into())),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn setting(name: &str, range: &'static str, got: String) -> Error {
    Error::Setting { setting: name.into(), range, got }
}

/// What a schedule has learned, for a checkpoint. Only [`ScheduleRule::Plateau`] learns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleState {
    /// The lowest validation error so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<f64>,
    /// Observations since the last improvement or drop.
    pub stale: u32,
    /// Drops so far.
    pub drops: u32,
    /// Whether patience ran out after the last drop.
    pub finished: bool,
}

/// What an observed validation error led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The schedule does not look at errors.
    Ignored,
    /// The lowest so far.
    Improved,
    /// No improvement; patience lasts.
    Stale,
    /// Patience ran out: the rate is lower from now on.
    Dropped,
    /// Patience ran out and no drops are left: training may stop.
    Finished,
}

/// A rule and what it has learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    rule: ScheduleRule,
    state: ScheduleState,
}

impl Schedule {
    /// A schedule that has seen nothing yet.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting outside its range.
    pub fn new(rule: ScheduleRule) -> Result<Self> {
        rule.validate()?;
        Ok(Self { rule, state: ScheduleState::default() })
    }

    /// The rule.
    pub fn rule(&self) -> &ScheduleRule {
        &self.rule
    }

    /// The learning rate after `epoch` passes over the training set (steps so far / steps in an epoch), from the rate
    /// `base` of the configuration.
    pub fn rate(&self, base: f64, epoch: f64) -> f64 {
        let epoch = epoch.max(0.0);
        base * match &self.rule {
            ScheduleRule::Constant => 1.0,
            ScheduleRule::Steps { drop_epochs, factor } => {
                power(*factor, drop_epochs.iter().filter(|&&drop| drop <= epoch).count())
            }
            ScheduleRule::Exponential { gamma } => gamma.powf(epoch),
            ScheduleRule::Polynomial { epochs, power, end } => {
                let left = (1.0 - epoch / epochs).max(0.0).powf(*power);
                end + (1.0 - end) * left
            }
            ScheduleRule::Plateau { factor, .. } => power(*factor, self.state.drops as usize),
        }
    }

    /// Takes note of the error on the validation set, once an evaluation. NaN counts as no improvement.
    pub fn observe(&mut self, error: f64) -> Observed {
        let ScheduleRule::Plateau { patience, threshold, times, .. } = self.rule else {
            return Observed::Ignored;
        };
        let state = &mut self.state;
        if error.is_finite() && state.best.is_none_or(|best| error < best - threshold) {
            (state.best, state.stale) = (Some(error), 0);
            return Observed::Improved;
        }
        state.stale = state.stale.saturating_add(1);
        if state.stale < patience {
            return Observed::Stale;
        }
        if state.drops < times {
            (state.drops, state.stale) = (state.drops + 1, 0);
            return Observed::Dropped;
        }
        state.finished = true;
        Observed::Finished
    }

    /// Whether the last drop and its patience are used up, so that training may stop. An improvement after that does not
    /// take it back.
    pub fn finished(&self) -> bool {
        self.state.finished
    }

    /// What has been learned.
    pub fn state(&self) -> &ScheduleState {
        &self.state
    }

    /// Replaces what has been learned by an earlier [`state`](Self::state).
    ///
    /// # Errors
    /// [`Error::State`] for one that this schedule cannot have had.
    pub fn load_state(&mut self, state: ScheduleState) -> Result<()> {
        let drops = if let ScheduleRule::Plateau { times, .. } = self.rule { times } else { 0 };
        if state.drops > drops {
            let what =
                format!("at most {drops} in this schedule, got {}; resume with the schedule it had", state.drops);
            return Err(Error::state("schedule drops", what));
        }
        if state.best.is_some_and(|best| !best.is_finite()) {
            return Err(Error::state("schedule best", "expected a finite number"));
        }
        self.state = state;
        Ok(())
    }
}

/// factor^n by division where the factor is one tenth or the like: 0.01 dropped once by 0.1 is 0.001 to the last bit.
fn power(factor: f64, n: usize) -> f64 {
    let inverse = (1.0 / factor).round();
    let exponent = i32::try_from(n).unwrap_or(i32::MAX);
    if inverse.is_finite() && 1.0 / inverse == factor { 1.0 / inverse.powi(exponent) } else { factor.powi(exponent) }
}
