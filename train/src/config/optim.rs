//! Settings of the optimizer and its learning-rate schedule.

use optim::{Adam, Optimizer, Rule, Schedule, ScheduleRule, Sgd};
use serde::{Deserialize, Serialize};
use tensor::Backend;

use super::Config;
use super::setting::{Condition, is_amount, is_fraction, is_positive, section};
use crate::Result;

/// Optimizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimKind {
    /// Gradient descent with momentum (paper, section 5).
    Sgd,
    /// Adam.
    Adam,
}

/// Learning-rate schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The initial learning rate throughout.
    Constant,
    /// Times `factor` at each of `drop_epochs`.
    Steps,
    /// Times `factor` every `period` epochs, smoothly.
    Exponential,
    /// Times `factor` when the validation error stops improving (paper, section 5).
    Plateau,
    /// From the initial learning rate to `end_factor` times that over `decay_epochs`, by a power of the remaining time.
    Polynomial,
}

const SGD: Condition = Condition {
    needed: "`optim.kind = \"sgd\"`",
    holds: |config| config.optim.kind == OptimKind::Sgd,
    decided_by: "optim.kind",
    advice: "add --set optim.kind=sgd",
};

const MOMENTUM: Condition = Condition {
    needed: "`optim.momentum` above 0",
    holds: |config| config.optim.momentum > 0.0,
    decided_by: "optim.momentum",
    advice: "add --set optim.momentum=0.9",
};

const ADAM: Condition = Condition {
    needed: "`optim.kind = \"adam\"`",
    holds: |config| config.optim.kind == OptimKind::Adam,
    decided_by: "optim.kind",
    advice: "add --set optim.kind=adam",
};

const DROPS: Condition = Condition {
    needed: "`optim.drop_epochs` if it is `steps`",
    holds: |config| config.optim.schedule != ScheduleKind::Steps || !config.optim.drop_epochs.is_empty(),
    decided_by: "optim.drop_epochs",
    advice: "add --set optim.drop_epochs=[...], the epochs after which the learning rate drops",
};

const DECAY_EPOCHS: Condition = Condition {
    needed: "`optim.decay_epochs` if it is `polynomial`",
    holds: |config| config.optim.schedule != ScheduleKind::Polynomial || config.optim.decay_epochs > 0.0,
    decided_by: "optim.decay_epochs",
    advice: "add --set optim.decay_epochs=N, the epochs over which the learning rate falls",
};

const FACTOR: Condition = Condition {
    needed: "`optim.schedule` = `steps`, `exponential` or `plateau`",
    holds: |config| !matches!(config.optim.schedule, ScheduleKind::Constant | ScheduleKind::Polynomial),
    decided_by: "optim.schedule",
    advice: "add --set optim.schedule=steps, exponential or plateau",
};

const STEPS: Condition = Condition {
    needed: "`optim.schedule = \"steps\"`",
    holds: |config| config.optim.schedule == ScheduleKind::Steps,
    decided_by: "optim.schedule",
    advice: "add --set optim.schedule=steps",
};

const DROP_BEFORE_THE_END: Condition = Condition {
    needed: "`run.epochs` beyond the first drop",
    holds: drops_before_the_end,
    decided_by: "run.epochs",
    advice: "the learning rate would never drop: choose an epoch before the end, or more --epochs",
};

const EXPONENTIAL: Condition = Condition {
    needed: "`optim.schedule = \"exponential\"`",
    holds: |config| config.optim.schedule == ScheduleKind::Exponential,
    decided_by: "optim.schedule",
    advice: "add --set optim.schedule=exponential",
};

const PLATEAU: Condition = Condition {
    needed: "`optim.schedule = \"plateau\"`",
    holds: |config| config.optim.schedule == ScheduleKind::Plateau,
    decided_by: "optim.schedule",
    advice: "add --set optim.schedule=plateau",
};

const POLYNOMIAL: Condition = Condition {
    needed: "`optim.schedule = \"polynomial\"`",
    holds: |config| config.optim.schedule == ScheduleKind::Polynomial,
    decided_by: "optim.schedule",
    advice: "add --set optim.schedule=polynomial",
};

/// Whether the first drop comes before the end of the run. If `run.steps` gives the length, that depends on the pack.
fn drops_before_the_end(config: &Config) -> bool {
    let first = config.optim.drop_epochs.first();
    config.run.steps.is_some() || first.is_none_or(|&first| first < config.run.epochs as f64)
}

/// Whether epochs are above 0, each later than the one before it.
fn are_epochs(epochs: &[f64]) -> bool {
    epochs.windows(2).all(|pair| pair[0] < pair[1]) && epochs.iter().all(|epoch| *epoch > 0.0)
}

section! {
    /// Optimizer and learning-rate schedule
    optim: OptimConfig {
        /// Optimizer: `sgd` or `adam`.
        kind: OptimKind = OptimKind::Sgd,

        /// Initial learning rate.
        #[alias = "rate"]
        #[range("a finite number of at least 0", is_amount)]
        lr: f64 = 0.01,

        /// Momentum.
        #[range("in [0, 1)", is_fraction)]
        #[needs(SGD)]
        momentum: f64 = 0.9,

        /// Weight decay.
        #[alias = "decay"]
        #[range("a finite number of at least 0", is_amount)]
        weight_decay: f64 = 0.0005,

        /// Nesterov momentum.
        #[off = "false"]
        #[needs(SGD, MOMENTUM)]
        nesterov: bool = false,

        /// Decay rate of the first moment.
        #[range("in [0, 1)", is_fraction)]
        #[needs(ADAM)]
        beta1: f64 = 0.9,

        /// Decay rate of the second moment.
        #[range("in [0, 1)", is_fraction)]
        #[needs(ADAM)]
        beta2: f64 = 0.999,

        /// Epsilon, added to the denominator.
        #[default_text = "1e-8"]
        #[range("above 0", is_positive)]
        #[needs(ADAM)]
        epsilon: f64 = 1e-8,

        /// Add epsilon before the bias correction, as Keras does.
        #[off = "false"]
        #[needs(ADAM)]
        epsilon_hat: bool = false,

        /// Learning-rate schedule: `constant`, `steps`, `exponential`, `plateau` or `polynomial`.
        #[needs(DROPS, DECAY_EPOCHS)]
        schedule: ScheduleKind = ScheduleKind::Constant,

        /// Factor of the learning rate at each drop, or per period.
        #[range("in (0, 1]", |factor| *factor > 0.0 && *factor <= 1.0)]
        #[needs(FACTOR)]
        factor: f64 = 0.1,

        /// Epochs after which the learning rate drops; fractions are allowed.
        #[range("rising numbers above 0", |epochs| are_epochs(epochs))]
        #[off = "[]"]
        #[needs(STEPS, DROP_BEFORE_THE_END)]
        drop_epochs: Vec<f64> = Vec::new(),

        /// Epochs per multiplication by the factor.
        #[range("above 0", is_positive)]
        #[needs(EXPONENTIAL)]
        period: f64 = 1.0,

        /// Epochs without improvement before a drop.
        #[range("at least 1", |epochs| *epochs > 0)]
        #[needs(PLATEAU)]
        patience: u32 = 5,

        /// Smallest decrease of the error that counts as an improvement, as a fraction of the images.
        #[range("a finite number of at least 0", is_amount)]
        #[needs(PLATEAU)]
        threshold: f64 = 0.0005,

        /// Maximum number of drops.
        #[alias = "times"]
        #[needs(PLATEAU)]
        max_drops: u32 = 3,

        /// Epochs over which the learning rate falls to its final value.
        #[range("a finite number of at least 0", is_amount)]
        #[off = "0"]
        #[needs(POLYNOMIAL)]
        decay_epochs: f64 = 0.0,

        /// Power of the remaining fraction of `optim.decay_epochs`: 1 for a linear decay.
        #[range("above 0", is_positive)]
        #[needs(POLYNOMIAL)]
        power: f64 = 1.0,

        /// Final learning rate, as a fraction of the initial one.
        #[range("in [0, 1]", |factor| (0.0..=1.0).contains(factor))]
        #[needs(POLYNOMIAL)]
        end_factor: f64 = 0.0,
    }
}

impl OptimConfig {
    /// The optimizer of this configuration, without state.
    ///
    /// # Errors
    /// [`Error::Optim`](crate::Error::Optim) for a setting outside its range.
    pub fn optimizer<B: Backend>(&self) -> Result<Optimizer<B>> {
        let rule: Rule = match self.kind {
            OptimKind::Sgd => {
                Sgd { momentum: self.momentum, weight_decay: self.weight_decay, nesterov: self.nesterov }.into()
            }
            OptimKind::Adam => Adam {
                beta1: self.beta1,
                beta2: self.beta2,
                epsilon: self.epsilon,
                weight_decay: self.weight_decay,
                epsilon_hat: self.epsilon_hat,
            }
            .into(),
        };
        Ok(Optimizer::new(rule)?)
    }

    /// The learning-rate schedule of this configuration, in its initial state.
    ///
    /// # Errors
    /// [`Error::Optim`](crate::Error::Optim) for a setting outside its range.
    pub fn schedule(&self) -> Result<Schedule> {
        let factor = self.factor;
        let rule = match self.schedule {
            ScheduleKind::Constant => ScheduleRule::Constant,
            ScheduleKind::Steps => ScheduleRule::Steps { drop_epochs: self.drop_epochs.clone(), factor },
            ScheduleKind::Exponential => ScheduleRule::Exponential { gamma: factor.powf(1.0 / self.period) },
            ScheduleKind::Plateau => ScheduleRule::Plateau {
                factor,
                patience: self.patience,
                threshold: self.threshold,
                max_drops: self.max_drops,
            },
            ScheduleKind::Polynomial => {
                ScheduleRule::Polynomial { epochs: self.decay_epochs, power: self.power, end: self.end_factor }
            }
        };
        Ok(Schedule::new(rule)?)
    }
}
