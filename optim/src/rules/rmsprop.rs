//! RMSprop.

use tensor::ops::Activation;
use tensor::{Backend, Tensor};

use crate::error::{Range, check};
use crate::{ParameterStep, Result, UpdateRule};

/// RMSprop (Hinton's lecture 6e, 2012; centred: Graves, 2013), as PyTorch has it:
/// g <- g + weight_decay w; v <- alpha v + (1 - alpha) g^2; b <- momentum b + g / (sqrt(v) + epsilon); w <- w - lr b.
///
/// Centred, m <- alpha m + (1 - alpha) g is the mean gradient and sqrt(v - m^2) stands for sqrt(v). TensorFlow has epsilon
/// inside the root.
///
/// State: `rmsprop.v/PARAMETER`, with momentum `rmsprop.b/PARAMETER`, and centred `rmsprop.m/PARAMETER`.
///
/// ```
/// use alexnet_optim::tensor::{Cpu, Tensor};
/// use alexnet_optim::{Optimizer, RmsProp, Update};
///
/// let cpu = Cpu::<f64>::new(1)?;
/// let mut w = Tensor::full(&cpu, &[2], 1.0)?;
/// let gradient = Tensor::full(&cpu, &[2], 25.0)?;
/// let mut rmsprop = Optimizer::new(RmsProp { alpha: 0.75, ..RmsProp::default() })?;
/// rmsprop.step(0.1, vec![Update::new("w", &mut w, &gradient)])?;
/// assert!((w.to_vec()?[0] - 0.8).abs() < 1e-8); // v is a quarter of g^2
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct RmsProp {
    /// Decay rate of the mean square, at least 0 and below 1.
    pub alpha: f64,
    /// Epsilon, added to the root, above 0.
    pub epsilon: f64,
    /// Momentum, at least 0 and below 1.
    pub momentum: f64,
    /// Weight decay, at least 0: adds weight_decay w to the gradient.
    pub weight_decay: f64,
    /// Whether to divide by the deviation of the gradient, not by its root mean square.
    pub centered: bool,
}

impl Default for RmsProp {
    /// PyTorch's settings: alpha 0.99, epsilon 1e-8; no momentum, no weight decay, not centred.
    fn default() -> Self {
        Self { alpha: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.0, centered: false }
    }
}

impl<B: Backend> UpdateRule<B> for RmsProp {
    fn name(&self) -> &str {
        "rmsprop"
    }

    fn validate(&self) -> Result<()> {
        check("alpha", Range::Fraction, self.alpha)?;
        check("epsilon", Range::Positive, self.epsilon)?;
        check("momentum", Range::Fraction, self.momentum)?;
        check("weight_decay", Range::NonNegative, self.weight_decay)
    }

    fn state(&self) -> &[&str] {
        match (self.centered, self.momentum > 0.0) {
            (false, false) => &["rmsprop.v"],
            (false, true) => &["rmsprop.v", "rmsprop.b"],
            (true, false) => &["rmsprop.v", "rmsprop.m"],
            (true, true) => &["rmsprop.v", "rmsprop.m", "rmsprop.b"],
        }
    }

    fn update(&self, parameter: ParameterStep<'_, B>) -> tensor::Result<()> {
        let ParameterStep { value, gradient, state, rate, decay_mult, .. } = parameter;
        let mut gradient = gradient.clone();
        let decay = self.weight_decay * decay_mult;
        if decay > 0.0 {
            gradient.add_scaled(decay, value)?;
        }
        let mut state = state.iter_mut();
        let mut next = || state.next().expect("the optimizer keeps the tensors that the rule names");
        let v = next();
        self.average(v, &gradient.multiply(&gradient)?)?;
        let mut square = v.clone();
        if self.centered {
            let m = next();
            self.average(m, &gradient)?;
            // Rounding must not make it negative.
            square = square.subtract(&m.multiply(m)?)?.activation(Activation::Relu)?;
        }
        let step = gradient.divide(&square.sqrt()?.mul_add_scalar(1.0, self.epsilon)?)?;
        if self.momentum == 0.0 {
            return value.add_scaled(-rate, &step);
        }
        let b = next();
        *b = b.scale(self.momentum)?.add(&step)?;
        value.add_scaled(-rate, b)
    }
}

impl RmsProp {
    /// mean <- alpha mean + (1 - alpha) x.
    fn average<B: Backend>(&self, mean: &mut Tensor<B>, x: &Tensor<B>) -> tensor::Result<()> {
        *mean = mean.scale(self.alpha)?;
        mean.add_scaled(1.0 - self.alpha, x)
    }
}
