//! The optimizer, the schedule and the moving average of the weights that the settings describe.

use layers::Parameters;
use optim::{Adam, AdamW, Clipping, Lars, Optimizer, RmsProp, Rule, Schedule, ScheduleRule, Sgd};
use tensor::Backend;

use super::{OptimConfig, OptimKind, ScheduleKind};
use crate::{Result, WeightAverage};

impl OptimConfig {
    /// The optimizer of this configuration, without state.
    ///
    /// # Errors
    /// [`Error::Optim`](crate::Error::Optim) for a setting outside its range.
    pub fn optimizer<B: Backend>(&self) -> Result<Optimizer<B>> {
        let mut optimizer = Optimizer::new(self.rule())?;
        optimizer.set_clipping(self.clipping())?;
        Ok(optimizer)
    }

    /// Gives an optimizer in training the rule and the clipping of this configuration.
    ///
    /// # Errors
    /// [`Error::Optim`](crate::Error::Optim) for a setting outside its range, and for another kind of optimizer.
    pub fn change_optimizer<B: Backend>(&self, optimizer: &mut Optimizer<B>) -> Result<()> {
        optimizer.set_rule(self.rule())?;
        Ok(optimizer.set_clipping(self.clipping())?)
    }

    fn clipping(&self) -> Vec<Clipping> {
        let value = (self.clip_value > 0.0).then_some(Clipping::Value(self.clip_value));
        let norm = (self.clip_norm > 0.0).then_some(Clipping::GlobalNorm(self.clip_norm));
        value.into_iter().chain(norm).collect()
    }

    /// The moving average of a module's weights in this configuration, at its start.
    pub fn average<B: Backend, M: Parameters<B> + ?Sized>(&self, module: &M) -> Option<WeightAverage<B>> {
        (self.ema_decay > 0.0).then(|| WeightAverage::new(module, self.ema_decay).warmup(self.ema_warmup))
    }

    /// The update rule of this configuration.
    pub(super) fn rule(&self) -> Rule {
        let &Self { momentum, weight_decay, nesterov, beta1, beta2, epsilon, epsilon_hat, .. } = self;
        let &Self { alpha, centered, trust, .. } = self;
        match self.kind {
            OptimKind::Sgd => Sgd { momentum, weight_decay, nesterov }.into(),
            OptimKind::Adam => Adam { beta1, beta2, epsilon, weight_decay, epsilon_hat }.into(),
            OptimKind::AdamW => AdamW { beta1, beta2, epsilon, weight_decay, epsilon_hat }.into(),
            OptimKind::RmsProp => RmsProp { alpha, epsilon, momentum, weight_decay, centered }.into(),
            OptimKind::Lars => Lars { trust, momentum, weight_decay }.into(),
        }
    }

    /// The learning-rate schedule of this configuration, in its initial state.
    ///
    /// # Errors
    /// [`Error::Optim`](crate::Error::Optim) for a setting outside its range.
    pub fn schedule(&self) -> Result<Schedule> {
        let rule = self.schedule_rule();
        if self.warmup_epochs == 0.0 {
            return Ok(Schedule::new(rule)?);
        }
        let then = Box::new(rule);
        Ok(Schedule::new(ScheduleRule::Warmup { epochs: self.warmup_epochs, start: self.warmup_factor, then })?)
    }

    /// The schedule after the warm-up.
    fn schedule_rule(&self) -> ScheduleRule {
        let &Self { factor, period, patience, threshold, max_drops, .. } = self;
        let &Self { decay_epochs: epochs, power, rise, start_factor: start, end_factor: end, .. } = self;
        match self.schedule {
            ScheduleKind::Constant => ScheduleRule::Constant,
            ScheduleKind::Steps => ScheduleRule::Steps { drop_epochs: self.drop_epochs.clone(), factor },
            ScheduleKind::Exponential => ScheduleRule::Exponential { gamma: factor.powf(1.0 / period) },
            ScheduleKind::Plateau => ScheduleRule::Plateau { factor, patience, threshold, max_drops },
            ScheduleKind::Polynomial => ScheduleRule::Polynomial { epochs, power, end },
            ScheduleKind::Cosine => ScheduleRule::Cosine { epochs, end },
            ScheduleKind::OneCycle => ScheduleRule::OneCycle { epochs, rise, start, end },
        }
    }
}
