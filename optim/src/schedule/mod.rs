//! Learning rates over a training run.

mod rule;
mod warmup;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use rule::ScheduleRule;
pub use warmup::Warmup;

use crate::{Error, Result};

/// The rule of a learning-rate schedule: the rate at each point of a training run. A [`Schedule`] runs it. Every function
/// of the base rate and the epoch is one.
///
/// A rule whose rate depends on what happened keeps that in the [`ScheduleState`], which checkpoints hold:
///
/// ```
/// use alexnet_optim::{LearningRate, Observed, Schedule, ScheduleState};
///
/// /// Halved whenever the validation error rises.
/// struct Cautious;
///
/// impl LearningRate for Cautious {
///     fn rate(&self, base: f64, _epoch: f64, state: &ScheduleState) -> f64 {
///         base * 0.5f64.powf(state.values.get("rises").copied().unwrap_or(0.0))
///     }
///
///     fn observe(&self, error: f64, state: &mut ScheduleState) -> Observed {
///         let last = state.values.insert("last".into(), error);
///         if last.is_none_or(|last| error <= last) {
///             return Observed::Improved;
///         }
///         *state.values.entry("rises".into()).or_default() += 1.0;
///         Observed::Dropped
///     }
/// }
///
/// let mut schedule = Schedule::new(Cautious)?;
/// schedule.observe(0.5);
/// schedule.observe(0.6);
/// assert_eq!(schedule.rate(0.01, 2.0), 0.005);
///
/// let inverse_root = Schedule::new(|base: f64, epoch: f64| base / (1.0 + epoch).sqrt())?;
/// assert_eq!(inverse_root.rate(0.01, 3.0), 0.005);
/// # Ok::<(), alexnet_optim::Error>(())
/// ```
pub trait LearningRate: Send + Sync {
    /// Checks the settings. [`Schedule::new`] calls it.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the first one outside its range.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// The learning rate after `epoch` passes over the training set, at least 0. `base` is the initial learning rate.
    fn rate(&self, base: f64, epoch: f64, state: &ScheduleState) -> f64;

    /// Records the validation error, once per evaluation.
    fn observe(&self, _error: f64, _state: &mut ScheduleState) -> Observed {
        Observed::Ignored
    }

    /// The largest [`ScheduleState::drops`] that the rule can reach.
    fn max_drops(&self) -> u32 {
        0
    }
}

impl<F: Fn(f64, f64) -> f64 + Send + Sync> LearningRate for F {
    fn rate(&self, base: f64, epoch: f64, _state: &ScheduleState) -> f64 {
        self(base, epoch)
    }
}

/// State of a schedule, for a checkpoint. Of the built-in ones only [`ScheduleRule::Plateau`] has any.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ScheduleState {
    /// The lowest validation error so far.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub best: Option<f64>,
    /// Observations since the last improvement or drop.
    pub stale: u32,
    /// Drops so far.
    pub drops: u32,
    /// Whether patience ran out after the last drop.
    pub finished: bool,
    /// State of a [`LearningRate`] of one's own, by name.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    pub values: BTreeMap<String, f64>,
}

impl ScheduleState {
    /// Records a validation error for a schedule that drops when it stops improving.
    fn observe(&mut self, error: f64, patience: u32, threshold: f64, max_drops: u32) -> Observed {
        if error.is_finite() && self.best.is_none_or(|best| error < best - threshold) {
            self.best = Some(error);
            self.stale = 0;
            return Observed::Improved;
        }
        self.stale = self.stale.saturating_add(1);
        if self.stale < patience {
            return Observed::Stale;
        }
        if self.drops < max_drops {
            self.drops += 1;
            self.stale = 0;
            return Observed::Dropped;
        }
        self.finished = true;
        Observed::Finished
    }
}

/// Effect of an observed validation error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
///
/// ```
/// use alexnet_optim::{Observed, Schedule, ScheduleRule};
///
/// let mut schedule = Schedule::new(ScheduleRule::Plateau { factor: 0.1, patience: 2, threshold: 0.0, max_drops: 3 })?;
/// assert_eq!([0.5, 0.6, 0.6].map(|error| schedule.observe(error)).last(), Some(&Observed::Dropped));
/// assert_eq!(schedule.rate(0.01, 3.0), 0.001);
///
/// let mut resumed = Schedule::new(ScheduleRule::plateau())?;
/// resumed.load_state(schedule.state().clone())?;
/// assert_eq!(resumed.rate(0.01, 3.0), 0.001);
/// # Ok::<(), alexnet_optim::Error>(())
/// ```
#[derive(Clone)]
pub struct Schedule {
    rule: Arc<dyn LearningRate>,
    state: ScheduleState,
}

impl Schedule {
    /// A schedule at the start of training.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting outside its range.
    pub fn new(rule: impl LearningRate + 'static) -> Result<Self> {
        rule.validate()?;
        Ok(Self { rule: Arc::new(rule), state: ScheduleState::default() })
    }

    /// The learning rate after `epoch` passes over the training set (steps so far / steps in an epoch). `base` is the
    /// initial learning rate.
    pub fn rate(&self, base: f64, epoch: f64) -> f64 {
        self.rule.rate(base, epoch.max(0.0), &self.state)
    }

    /// Records the validation error, once per evaluation. NaN counts as no improvement.
    pub fn observe(&mut self, error: f64) -> Observed {
        self.rule.observe(error, &mut self.state)
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
        let drops = self.rule.max_drops();
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

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("state", &self.state).finish_non_exhaustive()
    }
}
