//! Settings of the optimizer and its learning-rate schedule.

use serde::{Deserialize, Serialize};

use super::Config;
use super::run::MAX_EPOCHS;
use super::setting::{Condition, is_amount, is_fraction, is_positive, section};

/// Optimizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimKind {
    /// Gradient descent with momentum (paper, section 5).
    Sgd,
    /// Adam.
    Adam,
    /// Adam with decoupled weight decay.
    #[serde(rename = "adamw")]
    AdamW,
    /// RMSprop.
    #[serde(rename = "rmsprop")]
    RmsProp,
    /// SGD with a learning rate for each layer, from the norms of its weights and gradients.
    Lars,
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
    /// Times `factor` when the validation error, or another `run.monitor`, stops improving (paper, section 5).
    Plateau,
    /// From the initial learning rate to `end_factor` times that over `decay_epochs`, by a power of the remaining time.
    Polynomial,
    /// The same, along half a cosine.
    Cosine,
    /// Up to the initial learning rate and down again over `decay_epochs`, each along half a cosine.
    OneCycle,
}

const EMA: Condition = Condition {
    needed: "`optim.ema_decay` above 0",
    holds: |config| config.optim.ema_decay > 0.0,
    decided_by: "optim.ema_decay",
    advice: "set optim.ema_decay=0.9998",
};

const NESTEROV: Condition = Condition {
    needed: "`optim.momentum` above 0",
    holds: |config| config.optim.momentum > 0.0,
    decided_by: "optim.momentum",
    advice: "set optim.momentum=0.9",
};

const SGD: Condition =
    of_kind("`optim.kind = \"sgd\"`", |config| config.optim.kind == OptimKind::Sgd, "set optim.kind=sgd");

const MOMENTUM: Condition = of_kind(
    "`optim.kind` = `sgd`, `lars` or `rmsprop`",
    |config| matches!(config.optim.kind, OptimKind::Sgd | OptimKind::Lars | OptimKind::RmsProp),
    "set optim.kind=sgd, lars or rmsprop",
);

const MOMENTS: Condition = of_kind(
    "`optim.kind` = `adam` or `adamw`",
    |config| matches!(config.optim.kind, OptimKind::Adam | OptimKind::AdamW),
    "set optim.kind=adam or adamw",
);

const EPSILON: Condition = of_kind(
    "`optim.kind` = `adam`, `adamw` or `rmsprop`",
    |config| matches!(config.optim.kind, OptimKind::Adam | OptimKind::AdamW | OptimKind::RmsProp),
    "set optim.kind=adam, adamw or rmsprop",
);

const RMSPROP: Condition =
    of_kind("`optim.kind = \"rmsprop\"`", |config| config.optim.kind == OptimKind::RmsProp, "set optim.kind=rmsprop");

const LARS: Condition =
    of_kind("`optim.kind = \"lars\"`", |config| config.optim.kind == OptimKind::Lars, "set optim.kind=lars");

/// A condition on the optimizer.
const fn of_kind(needed: &'static str, holds: fn(&Config) -> bool, advice: &'static str) -> Condition {
    Condition { needed, holds, decided_by: "optim.kind", advice }
}

const DROPS: Condition = Condition {
    needed: "`optim.drop_epochs` if it is `steps`",
    holds: |config| config.optim.schedule != ScheduleKind::Steps || !config.optim.drop_epochs.is_empty(),
    decided_by: "optim.drop_epochs",
    advice: "set optim.drop_epochs=[...], the epochs after which the learning rate drops",
};

const DECAY_EPOCHS: Condition = Condition {
    needed: "`optim.decay_epochs` or `run.epochs` if it is `polynomial`, `cosine` or `one-cycle`",
    holds: |config| !is_decay(config) || config.optim.decay_epochs > 0.0,
    decided_by: "optim.decay_epochs",
    advice: "set optim.decay_epochs=N, the epochs over which the learning rate falls",
};

const DROP_BEFORE_THE_END: Condition = Condition {
    needed: "`run.epochs` beyond the first drop",
    holds: drops_before_the_end,
    decided_by: "run.epochs",
    advice: "the learning rate would never drop: choose an epoch before the end, or a larger run.epochs",
};

const FACTOR: Condition = of_schedule(
    "`optim.schedule` = `steps`, `exponential` or `plateau`",
    |config| !is_decay(config) && config.optim.schedule != ScheduleKind::Constant,
    "set optim.schedule=steps, exponential or plateau",
);

const STEPS: Condition = of_schedule(
    "`optim.schedule = \"steps\"`",
    |config| config.optim.schedule == ScheduleKind::Steps,
    "set optim.schedule=steps",
);

const EXPONENTIAL: Condition = of_schedule(
    "`optim.schedule = \"exponential\"`",
    |config| config.optim.schedule == ScheduleKind::Exponential,
    "set optim.schedule=exponential",
);

const PLATEAU: Condition = of_schedule(
    "`optim.schedule = \"plateau\"`",
    |config| config.optim.schedule == ScheduleKind::Plateau,
    "set optim.schedule=plateau",
);

const DECAY: Condition = of_schedule(
    "`optim.schedule` = `polynomial`, `cosine` or `one-cycle`",
    is_decay,
    "set optim.schedule=polynomial, cosine or one-cycle",
);

const POLYNOMIAL: Condition = of_schedule(
    "`optim.schedule = \"polynomial\"`",
    |config| config.optim.schedule == ScheduleKind::Polynomial,
    "set optim.schedule=polynomial",
);

const ONE_CYCLE: Condition = of_schedule(
    "`optim.schedule = \"one-cycle\"`",
    |config| config.optim.schedule == ScheduleKind::OneCycle,
    "set optim.schedule=one-cycle",
);

/// A condition on the schedule.
const fn of_schedule(needed: &'static str, holds: fn(&Config) -> bool, advice: &'static str) -> Condition {
    Condition { needed, holds, decided_by: "optim.schedule", advice }
}

const WARMUP: Condition = Condition {
    needed: "`optim.warmup_epochs` above 0",
    holds: |config| config.optim.warmup_epochs > 0.0,
    decided_by: "optim.warmup_epochs",
    advice: "set optim.warmup_epochs=5",
};

/// Whether the schedule falls over `decay_epochs`.
pub(super) fn is_decay(config: &Config) -> bool {
    matches!(config.optim.schedule, ScheduleKind::Polynomial | ScheduleKind::Cosine | ScheduleKind::OneCycle)
}

/// Whether the first drop comes before the end of the run. If `run.steps` gives the length, that depends on the pack.
fn drops_before_the_end(config: &Config) -> bool {
    let first = config.optim.drop_epochs.first();
    config.run.steps.is_some() || first.is_none_or(|&first| first < config.run.epochs as f64)
}

/// Whether epochs are above 0, each later than the one before it.
fn are_epochs(epochs: &[f64]) -> bool {
    epochs.windows(2).all(|pair| pair[0] < pair[1]) && epochs.iter().all(|epoch| *epoch > 0.0 && is_epoch(epoch))
}

/// Whether a run can have as many epochs.
fn is_epoch(epochs: &f64) -> bool {
    (0.0..=MAX_EPOCHS as f64).contains(epochs)
}

section! {
    /// Optimizer and learning-rate schedule
    optim: OptimConfig {
        /// Optimizer: `sgd`, `adam`, `adamw`, `rmsprop` or `lars`.
        kind: OptimKind = OptimKind::Sgd,

        /// Initial learning rate.
        #[alias = "rate"]
        #[range("a finite number of at least 0", is_amount)]
        #[on_resume = Noted]
        #[timed = true]
        lr: f64 = 0.01,

        /// Momentum.
        #[range("in [0, 1)", is_fraction)]
        #[needs(MOMENTUM)]
        #[on_resume = Noted]
        #[timed = true]
        momentum: f64 = 0.9,

        /// Weight decay.
        #[alias = "decay"]
        #[range("a finite number of at least 0", is_amount)]
        #[on_resume = Noted]
        #[timed = true]
        weight_decay: f64 = 0.0005,

        /// Nesterov momentum.
        #[off = "false"]
        #[needs(SGD, NESTEROV)]
        #[on_resume = Noted]
        #[timed = true]
        nesterov: bool = false,

        /// Decay rate of the first moment.
        #[range("in [0, 1)", is_fraction)]
        #[needs(MOMENTS)]
        #[on_resume = Noted]
        #[timed = true]
        beta1: f64 = 0.9,

        /// Decay rate of the second moment.
        #[range("in [0, 1)", is_fraction)]
        #[needs(MOMENTS)]
        #[on_resume = Noted]
        #[timed = true]
        beta2: f64 = 0.999,

        /// Epsilon, added to the denominator.
        #[default_text = "1e-8"]
        #[range("above 0", is_positive)]
        #[needs(EPSILON)]
        #[on_resume = Noted]
        #[timed = true]
        epsilon: f64 = 1e-8,

        /// Add epsilon before the bias correction, as Keras does.
        #[off = "false"]
        #[needs(MOMENTS)]
        #[on_resume = Noted]
        #[timed = true]
        epsilon_hat: bool = false,

        /// Decay rate of the mean square.
        #[range("in [0, 1)", is_fraction)]
        #[needs(RMSPROP)]
        #[on_resume = Noted]
        #[timed = true]
        alpha: f64 = 0.99,

        /// Divide by the deviation of the gradient, not by its root mean square.
        #[off = "false"]
        #[needs(RMSPROP)]
        centered: bool = false,

        /// Length of a layer's step as a fraction of the length of its weights, before the learning rate.
        #[range("above 0", is_positive)]
        #[needs(LARS)]
        #[on_resume = Noted]
        #[timed = true]
        trust: f64 = 0.001,

        /// Largest absolute value of a gradient, to which larger ones are clipped; 0 for no limit.
        #[range("a finite number of at least 0", is_amount)]
        #[off = "0"]
        #[on_resume = Noted]
        #[timed = true]
        clip_value: f64 = 0.0,

        /// Largest norm of all gradients together, to which longer ones are scaled; 0 for no limit. The gradients of all
        /// layers are then in memory at once.
        #[range("a finite number of at least 0", is_amount)]
        #[off = "0"]
        #[on_resume = Noted]
        #[timed = true]
        clip_norm: f64 = 0.0,

        /// Decay of the exponential moving average of the weights, which takes in the weights after each step; 0: none.
        /// Validation, and `eval`, `predict` and `convert` of the run, take the average. 0.9998 suits long runs.
        #[range("in [0, 1)", is_fraction)]
        #[off = "0"]
        #[on_resume = Noted]
        ema_decay: f64 = 0.0,

        /// Let the decay of the average rise: after n steps it is at most 1 - (1 + n)^(-2/3), so that the first weights are
        /// soon forgotten.
        #[off = "false"]
        #[needs(EMA)]
        #[on_resume = Noted]
        ema_warmup: bool = false,

        /// Learning-rate schedule: `constant`, `steps`, `exponential`, `plateau`, `polynomial`, `cosine` or `one-cycle`.
        #[needs(DROPS, DECAY_EPOCHS)]
        #[on_resume = Noted]
        schedule: ScheduleKind = ScheduleKind::Constant,

        /// Factor of the learning rate at each drop, or per period.
        #[range("in (0, 1]", |factor| *factor > 0.0 && *factor <= 1.0)]
        #[needs(FACTOR)]
        #[on_resume = Noted]
        factor: f64 = 0.1,

        /// Epochs after which the learning rate drops; fractions are allowed.
        #[range("rising numbers in (0, 1000000000]", |epochs| are_epochs(epochs))]
        #[off = "[]"]
        #[needs(STEPS, DROP_BEFORE_THE_END)]
        #[on_resume = Noted]
        drop_epochs: Vec<f64> = Vec::new(),

        /// Epochs per multiplication by the factor.
        #[range("in (0, 1000000000]", |period| *period > 0.0 && is_epoch(period))]
        #[needs(EXPONENTIAL)]
        #[on_resume = Noted]
        period: f64 = 1.0,

        /// Epochs without improvement before a drop.
        #[range("at least 1", |epochs| *epochs > 0)]
        #[needs(PLATEAU)]
        #[on_resume = Noted]
        patience: u32 = 5,

        /// Smallest decrease of `run.monitor` that counts as an improvement; for an error, as a fraction of the images.
        #[range("a finite number of at least 0", is_amount)]
        #[needs(PLATEAU)]
        #[on_resume = Noted]
        threshold: f64 = 0.0005,

        /// Maximum number of drops.
        #[alias = "times"]
        #[needs(PLATEAU)]
        #[on_resume = Noted]
        max_drops: u32 = 3,

        /// Epochs over which the learning rate changes to its final value; 0: those of the run, if it counts epochs.
        #[range("in [0, 1000000000]", is_epoch)]
        #[off = "0"]
        #[needs(DECAY)]
        #[on_resume = Noted]
        decay_epochs: f64 = 0.0,

        /// Power of the remaining fraction of `optim.decay_epochs`: 1 for a linear decay.
        #[range("above 0", is_positive)]
        #[needs(POLYNOMIAL)]
        #[on_resume = Noted]
        power: f64 = 1.0,

        /// Final learning rate, as a fraction of the initial one.
        #[range("in [0, 1]", |factor| (0.0..=1.0).contains(factor))]
        #[needs(DECAY)]
        #[on_resume = Noted]
        end_factor: f64 = 0.0,

        /// Fraction of `optim.decay_epochs` in which the learning rate rises to `optim.lr`.
        #[range("in (0, 1]", |rise| *rise > 0.0 && *rise <= 1.0)]
        #[needs(ONE_CYCLE)]
        #[on_resume = Noted]
        rise: f64 = 0.3,

        /// Learning rate at the start, as a fraction of `optim.lr`.
        #[range("in [0, 1]", |factor| (0.0..=1.0).contains(factor))]
        #[needs(ONE_CYCLE)]
        #[on_resume = Noted]
        start_factor: f64 = 0.04,

        /// Epochs at the start over which the learning rate of the schedule is multiplied by a factor that rises to 1.
        #[range("in [0, 1000000000]", is_epoch)]
        #[off = "0"]
        #[on_resume = Noted]
        warmup_epochs: f64 = 0.0,

        /// Factor at the start of the warm-up.
        #[range("in [0, 1]", |factor| (0.0..=1.0).contains(factor))]
        #[needs(WARMUP)]
        #[on_resume = Noted]
        warmup_factor: f64 = 0.1,
    }
}
