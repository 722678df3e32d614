//! Learning rates over a training run.

use serde::{Deserialize, Serialize};

use crate::error::{Range, check};
use crate::{Error, Result};

/// Rule of a learning-rate schedule. Epochs are passes over the training set, with fractions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "lowercase", deny_unknown_fields)]
pub enum ScheduleRule {
    /// The base learning rate throughout.
    Constant,
    /// Multiplied by `factor` after each of `drop_epochs`. The authors' run #145: 25, 51, 79.
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
    /// From base to `end` * base over `epochs`, as (1 - epoch / epochs)^power: linear for power 1.
    Polynomial {
        /// Above 0.
        epochs: f64,
        /// Above 0.
        #[serde(default = "one")]
        power: f64,
        /// Fraction of the base rate at the end, 0 to 1.
        #[serde(default)]
        end: f64,
    },
    /// Multiplied by `factor` when the validation error stops improving (paper, section 5: divided by 10, three times).
    Plateau {
        /// Above 0, at most 1.
        #[serde(default = "tenth")]
        factor: f64,
        /// Number of consecutive observations without improvement before a drop, at least 1.
        #[serde(default = "patience")]
        patience: u32,
        /// Minimum decrease of the error that counts as an improvement, at least 0.
        #[serde(default)]
        threshold: f64,
        /// Maximum number of drops. When patience runs out after the last of them, training may stop.
        #[serde(default = "max_drops", alias = "times")]
        max_drops: u32,
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

fn max_drops() -> u32 {
    3
}

impl ScheduleRule {
    /// The paper's schedule: divided by 10 when the validation error stops improving, three times.
    pub fn plateau() -> Self {
        Self::Plateau { factor: tenth(), patience: patience(), threshold: 0.0, max_drops: max_drops() }
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

/// State of a schedule, for a checkpoint. Only [`ScheduleRule::Plateau`] has any.
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

/// Effect of an observed validation error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// None: the schedule does not depend on errors.
    Ignored,
    /// The lowest so far.
    Improved,
    /// No improvement, but patience has not run out.
    Stale,
    /// Patience ran out: the learning rate drops.
    Dropped,
    /// Patience ran out and no drops are left: training may stop.
    Finished,
}

/// A learning-rate schedule: its rule and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    rule: ScheduleRule,
    state: ScheduleState,
}

impl Schedule {
    /// A schedule at the start of training.
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

    /// The learning rate after `epoch` passes over the training set (steps so far / steps in an epoch). `base` is the
    /// initial learning rate.
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

    /// Records the validation error, once per evaluation. NaN counts as no improvement.
    pub fn observe(&mut self, error: f64) -> Observed {
        let ScheduleRule::Plateau { patience, threshold, max_drops, .. } = self.rule else {
            return Observed::Ignored;
        };
        let state = &mut self.state;
        if error.is_finite() && state.best.is_none_or(|best| error < best - threshold) {
            state.best = Some(error);
            state.stale = 0;
            return Observed::Improved;
        }
        state.stale = state.stale.saturating_add(1);
        if state.stale < patience {
            return Observed::Stale;
        }
        if state.drops < max_drops {
            state.drops += 1;
            state.stale = 0;
            return Observed::Dropped;
        }
        state.finished = true;
        Observed::Finished
    }

    /// Whether patience ran out after the last drop, so that training may stop. A later improvement does not undo this.
    pub fn finished(&self) -> bool {
        self.state.finished
    }

    /// The state, for a checkpoint.
    pub fn state(&self) -> &ScheduleState {
        &self.state
    }

    /// Restores an earlier [`state`](Self::state).
    ///
    /// # Errors
    /// [`Error::State`] for a state that this schedule cannot have reached.
    pub fn load_state(&mut self, state: ScheduleState) -> Result<()> {
        let drops = if let ScheduleRule::Plateau { max_drops, .. } = self.rule { max_drops } else { 0 };
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

/// factor^n. For a factor of 1/k it divides by k^n, so that 0.01 dropped once by 0.1 is exactly 0.001.
fn power(factor: f64, n: usize) -> f64 {
    let inverse = (1.0 / factor).round();
    let exponent = i32::try_from(n).unwrap_or(i32::MAX);
    if inverse.is_finite() && 1.0 / inverse == factor { 1.0 / inverse.powi(exponent) } else { factor.powi(exponent) }
}
