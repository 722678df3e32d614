//! Linear warm-up.

use super::{LearningRate, Observed, ScheduleState};
use crate::Result;
use crate::error::{Range, check};

/// Linear warm-up of another rule, own ones too: its rate is multiplied by a factor that rises linearly from `start` to 1
/// over the first `epochs` (Goyal et al., 2017). The other counts its epochs from the beginning of the training. In
/// configurations, it is [`ScheduleRule::Warmup`](super::ScheduleRule::Warmup).
///
/// ```
/// use alexnet_optim::{Schedule, Warmup};
///
/// let inverse_root = |base: f64, epoch: f64| base / (1.0 + epoch).sqrt();
/// let schedule = Schedule::new(Warmup { epochs: 4.0, start: 0.0, then: inverse_root })?;
/// assert_eq!([0.0, 3.0, 8.0].map(|epoch| schedule.rate(1.0, epoch)), [0.0, 0.375, 1.0 / 3.0]);
/// # Ok::<(), alexnet_optim::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup<L> {
    /// Above 0.
    pub epochs: f64,
    /// Factor at the start, 0 to 1.
    pub start: f64,
    /// The rule of the rate that is multiplied.
    pub then: L,
}

impl<L: LearningRate> LearningRate for Warmup<L> {
    fn validate(&self) -> Result<()> {
        validate(self.epochs, self.start)?;
        self.then.validate()
    }

    fn rate(&self, base: f64, epoch: f64, state: &ScheduleState) -> f64 {
        self.then.rate(base, epoch, state) * factor(self.epochs, self.start, epoch)
    }

    fn observe(&self, error: f64, state: &mut ScheduleState) -> Observed {
        self.then.observe(error, state)
    }

    fn max_drops(&self) -> u32 {
        self.then.max_drops()
    }
}

pub(super) fn validate(epochs: f64, start: f64) -> Result<()> {
    check("warm-up epochs", Range::Positive, epochs)?;
    check("warm-up start", Range::Part, start)
}

/// The factor of the rate after `epoch` passes.
pub(super) fn factor(epochs: f64, start: f64, epoch: f64) -> f64 {
    if epoch >= epochs {
        return 1.0;
    }
    start + (1.0 - start) * (epoch / epochs)
}
