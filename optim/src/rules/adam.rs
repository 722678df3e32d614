//! Adam, with weight decay in the gradient or decoupled from it.

use tensor::ops::{AdamStep, AdamUpdate};
use tensor::{Backend, Tensor};

use super::tensors;
use crate::error::{Range, check};
use crate::{ParameterStep, Result, UpdateRule};

/// Adam (Kingma and Ba, 2015, algorithm 1):
/// m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2;
/// w <- w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), where t counts the steps of the parameter.
///
/// State: `adam.m/PARAMETER`, `adam.v/PARAMETER` and the count `adam.t/PARAMETER`.
///
/// ```
/// use alexnet_optim::tensor::{Cpu, Tensor};
/// use alexnet_optim::{Adam, Optimizer, Update};
///
/// let cpu = Cpu::<f64>::new(1)?;
/// let mut w = Tensor::full(&cpu, &[2], 1.0)?;
/// let gradient = Tensor::full(&cpu, &[2], 25.0)?;
/// let mut adam = Optimizer::new(Adam::default())?;
/// adam.step(0.1, vec![Update::new("w", &mut w, &gradient)])?;
/// assert!((w.to_vec()?[0] - 0.9).abs() < 1e-8); // the first step is as long as the learning rate
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Adam {
    /// Decay rate of the first moment, at least 0 and below 1.
    pub beta1: f64,
    /// Decay rate of the second moment, at least 0 and below 1.
    pub beta2: f64,
    /// Epsilon, added to the denominator, above 0. The default of Keras is 1e-7.
    pub epsilon: f64,
    /// Weight decay, at least 0: adds weight_decay w to the gradient (L2 regularisation, not [`AdamW`]'s).
    #[cfg_attr(feature = "serde", serde(alias = "decay"))]
    pub weight_decay: f64,
    /// Whether epsilon is added before the bias correction ("epsilon hat"), as Keras does, or after it, as algorithm 1
    /// and PyTorch do.
    pub epsilon_hat: bool,
}

impl Default for Adam {
    /// The settings of the publication: 0.9, 0.999, 1e-8; no weight decay.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, epsilon_hat: false }
    }
}

impl<B: Backend> UpdateRule<B> for Adam {
    fn name(&self) -> &str {
        "adam"
    }

    fn validate(&self) -> Result<()> {
        validate(self.beta1, self.beta2, self.epsilon, self.weight_decay)
    }

    fn state(&self) -> &[&str] {
        &["adam.m", "adam.v"]
    }

    fn count(&self) -> Option<&str> {
        Some("adam.t")
    }

    fn update(&self, parameter: ParameterStep<'_, B>) -> tensor::Result<()> {
        self.update_all(vec![parameter])
    }

    fn update_all(&self, parameters: Vec<ParameterStep<'_, B>>) -> tensor::Result<()> {
        let Self { beta1, beta2, epsilon, weight_decay: decay, epsilon_hat } = *self;
        let step = AdamStep { rate: 0.0, beta1, beta2, epsilon, decay, decoupled: false, step: 1, epsilon_hat };
        update_all(step, parameters)
    }
}

/// AdamW (Loshchilov and Hutter, 2019, algorithm 2): [`Adam`] whose weight decay is no part of the gradient, so that it is
/// not divided by the gradient's size: w <- (1 - lr weight_decay) w before Adam's step, as in PyTorch.
///
/// State: `adamw.m/PARAMETER`, `adamw.v/PARAMETER` and the count `adamw.t/PARAMETER`.
///
/// ```
/// use alexnet_optim::tensor::{Cpu, Tensor};
/// use alexnet_optim::{AdamW, Optimizer, Update};
///
/// let cpu = Cpu::<f64>::new(1)?;
/// let mut w = Tensor::full(&cpu, &[2], 1.0)?;
/// let zero = Tensor::zeros(&cpu, &[2])?;
/// let mut adamw = Optimizer::new(AdamW { weight_decay: 0.5, ..AdamW::default() })?;
/// adamw.step(0.5, vec![Update::new("w", &mut w, &zero)])?;
/// assert_eq!(w.to_vec()?, [0.75, 0.75]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AdamW {
    /// Decay rate of the first moment, at least 0 and below 1.
    pub beta1: f64,
    /// Decay rate of the second moment, at least 0 and below 1.
    pub beta2: f64,
    /// Epsilon, added to the denominator, above 0.
    pub epsilon: f64,
    /// Weight decay, at least 0. Each parameter's multiplier and the learning rate apply to it.
    pub weight_decay: f64,
    /// Whether epsilon is added before the bias correction, as Keras does, or after it, as in [`Adam`].
    pub epsilon_hat: bool,
}

impl Default for AdamW {
    /// PyTorch's settings: 0.9, 0.999, 1e-8, weight decay 0.01.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, epsilon_hat: false }
    }
}

impl<B: Backend> UpdateRule<B> for AdamW {
    fn name(&self) -> &str {
        "adamw"
    }

    fn validate(&self) -> Result<()> {
        validate(self.beta1, self.beta2, self.epsilon, self.weight_decay)
    }

    fn state(&self) -> &[&str] {
        &["adamw.m", "adamw.v"]
    }

    fn count(&self) -> Option<&str> {
        Some("adamw.t")
    }

    fn update(&self, parameter: ParameterStep<'_, B>) -> tensor::Result<()> {
        self.update_all(vec![parameter])
    }

    fn update_all(&self, parameters: Vec<ParameterStep<'_, B>>) -> tensor::Result<()> {
        let Self { beta1, beta2, epsilon, weight_decay: decay, epsilon_hat } = *self;
        let step = AdamStep { rate: 0.0, beta1, beta2, epsilon, decay, decoupled: true, step: 1, epsilon_hat };
        update_all(step, parameters)
    }
}

fn validate(beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64) -> Result<()> {
    check("beta1", Range::Fraction, beta1)?;
    check("beta2", Range::Fraction, beta2)?;
    check("epsilon", Range::Positive, epsilon)?;
    check("weight_decay", Range::NonNegative, weight_decay)
}

/// Runs the kernel with these settings, to which each parameter adds its rate, multiplier and count.
fn update_all<B: Backend>(settings: AdamStep, parameters: Vec<ParameterStep<'_, B>>) -> tensor::Result<()> {
    let update = |p| {
        let ParameterStep { value, gradient, state, rate, decay_mult, count, .. } = p;
        let step = AdamStep { rate, decay: settings.decay * decay_mult, step: count, ..settings };
        let [m, v] = tensors(state);
        AdamUpdate { step, w: value, m, v, g: gradient }
    };
    Tensor::adam_steps(parameters.into_iter().map(update).collect())
}
