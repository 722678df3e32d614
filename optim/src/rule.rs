//! The settings of the optimizers.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::{Range, check};

/// Gradient descent with momentum and weight decay (paper, section 5):
/// v <- momentum v - decay rate w - rate g; w <- w + v.
///
/// The learning rate is inside v: after the rate drops, steps already under way keep the old one, as in cuda-convnet
/// and Caffe. PyTorch keeps it outside (v <- momentum v + g + decay w; w <- w - rate v), which is the same as long as
/// the rate is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// The share of the last step that is kept, at least 0 and below 1.
    pub momentum: f64,
    /// Weight decay, at least 0. Each parameter's multiplier applies to it.
    pub decay: f64,
    /// Nesterov's form: w <- w + momentum v - decay rate w - rate g, with the new v.
    pub nesterov: bool,
}

impl Default for Sgd {
    /// The paper's settings: momentum 0.9, weight decay 0.0005.
    fn default() -> Self {
        Self { momentum: 0.9, decay: 0.0005, nesterov: false }
    }
}

/// Adam (Kingma and Ba, 2015, algorithm 1):
/// m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2;
/// w <- w - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), where t counts the parameter's own steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// The decay of the mean of gradients, at least 0 and below 1.
    pub beta1: f64,
    /// The decay of the mean of squared gradients, at least 0 and below 1.
    pub beta2: f64,
    /// Added to the root, above 0. Keras takes 1e-7.
    pub epsilon: f64,
    /// Weight decay, at least 0: adds decay times w to the gradient (L2, not AdamW's).
    pub decay: f64,
    /// Whether epsilon is added before the bias correction ("epsilon hat"), as Keras does, or after it, as algorithm 1
    /// and PyTorch do.
    pub epsilon_hat: bool,
}

impl Default for Adam {
    /// The publication's settings: 0.9, 0.999, 1e-8; no decay.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0, epsilon_hat: false }
    }
}

/// How an optimizer turns gradients into steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Rule {
    /// Gradient descent with momentum.
    Sgd(Sgd),
    /// Adam.
    Adam(Adam),
}

impl From<Sgd> for Rule {
    fn from(sgd: Sgd) -> Self {
        Self::Sgd(sgd)
    }
}

impl From<Adam> for Rule {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl Rule {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) that names the first one outside its range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Sgd(s) => {
                check("momentum", Range::Fraction, s.momentum)?;
                check("decay", Range::NonNegative, s.decay)
            }
            Self::Adam(a) => {
                check("beta1", Range::Fraction, a.beta1)?;
                check("beta2", Range::Fraction, a.beta2)?;
                check("epsilon", Range::Positive, a.epsilon)?;
                check("decay", Range::NonNegative, a.decay)
            }
        }
    }

    /// The rule's name, as a run's configuration gives it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
        }
    }
}
