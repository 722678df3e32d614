//! Early stopping.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tensor::Backend;

use super::Learner;
use super::callback::{Callback, Event};
use crate::{Error, Result};

/// A callback that ends a training when a value has not improved for some epochs (Prechelt, "Early Stopping - But When?",
/// 1998).
///
/// The value is one that an earlier callback [recorded](Learner::record) in each epoch, such as a validation error; less is
/// better, and NaN is no improvement. For an exact resume, save it with the checkpoint: it is serialisable.
///
/// ```
/// use std::ops::ControlFlow;
/// use alexnet_train::EarlyStopping;
///
/// let mut early = EarlyStopping::new("validation error", 2);
/// assert!(early.observe(0.5).is_continue());
/// assert!(early.observe(0.4).is_continue());
/// assert!(early.observe(0.4).is_continue());
/// let ControlFlow::Break(reason) = early.observe(0.6) else { unreachable!() };
/// assert_eq!(reason, "validation error has not improved on 0.4 for 2 epochs");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    name: String,
    patience: u64,
    min_delta: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<f64>,
    stale: u64,
}

impl EarlyStopping {
    /// Stops after `patience` consecutive epochs without an improvement of the value of this name.
    pub fn new(name: impl Into<String>, patience: u64) -> Self {
        Self { name: name.into(), patience: patience.max(1), min_delta: 0.0, best: None, stale: 0 }
    }

    /// The same, where only a decrease by more than `min_delta` is an improvement.
    pub fn min_delta(self, min_delta: f64) -> Self {
        Self { min_delta, ..self }
    }

    /// The lowest value so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// The same with the state of another one of the same value, from a checkpoint.
    pub fn resume(self, saved: Option<&Self>) -> Self {
        match saved.filter(|saved| saved.name == self.name) {
            Some(saved) => Self { best: saved.best, stale: saved.stale, ..self },
            None => self,
        }
    }

    /// The reason to end a training that went on although patience had run out, as one that is resumed.
    pub fn exhausted(&self) -> Option<String> {
        let best = self.best.map_or("anything".to_string(), |best| four_digits(best).to_string());
        let epochs = if self.stale == 1 { "epoch" } else { "epochs" };
        let reason = format!("{} has not improved on {best} for {} {epochs}", self.name, self.stale);
        (self.stale >= self.patience).then_some(reason)
    }

    /// Takes the value of an epoch into account.
    pub fn observe(&mut self, value: f64) -> ControlFlow<String> {
        if value.is_finite() && self.best.is_none_or(|best| value < best - self.min_delta) {
            self.best = Some(value);
            self.stale = 0;
            return ControlFlow::Continue(());
        }
        self.stale += 1;
        self.exhausted().map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}

/// A value with as many digits as a person reads.
fn four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

impl<B: Backend, M> Callback<B, M> for EarlyStopping {
    fn on_event(&mut self, event: Event<'_>, learner: &mut Learner<B, M>) -> Result<ControlFlow<String>> {
        let Event::Epoch(_) = event else { return Ok(ControlFlow::Continue(())) };
        let missing = || {
            let what = format!("no callback before it records {:?} with Learner::record", self.name);
            Error::setting("early stopping", what)
        };
        let value = learner.recorded(&self.name).ok_or_else(missing)?;
        Ok(self.observe(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_has_four_digits() {
        let mut early = EarlyStopping::new("error", 1);
        assert!(early.observe(0.7980535279805353).is_continue());
        assert_eq!(early.observe(0.9), ControlFlow::Break("error has not improved on 0.7981 for 1 epoch".to_string()));
    }
}
