//! Update rules and their settings.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::{Range, check};

/// Gradient descent with momentum and weight decay (paper, section 5):
/// v <- momentum v - weight_decay lr w - lr g; w <- w + v.
///
/// The learning rate lr is inside the velocity v, as in cuda-convnet and Caffe: after lr drops, the velocity still holds
/// steps at the old one. PyTorch keeps lr outside (v <- momentum v + g + weight_decay w; w <- w - lr v). The two are equal
/// as long as lr is constant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Momentum, at least 0 and below 1.
    pub momentum: f64,
    /// Weight decay, at least 0. Each parameter's multiplier applies to it.
    #[serde(alias = "decay")]
    pub weight_decay: f64,
    /// Nesterov momentum: w <- w + momentum v - weight_decay lr w - lr g, with the new v.
    pub nesterov: bool,
}

impl Default for Sgd {
    /// The paper's settings: momentum 0.9, weight decay 0.0005.
    fn default() -> Self {
        Self { momentum: 0.9, weight_decay: 0.0005, nesterov: false }
    }
}

/// Adam (Kingma and Ba, 2015, algorithm 1):
/// m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2;
/// w <- w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), where t counts the steps of the parameter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Decay rate of the first moment, at least 0 and below 1.
    pub beta1: f64,
    /// Decay rate of the second moment, at least 0 and below 1.
    pub beta2: f64,
    /// Epsilon, added to the denominator, above 0. The default of Keras is 1e-7.
    pub epsilon: f64,
    /// Weight decay, at least 0: adds weight_decay w to the gradient (L2 regularisation, not AdamW's).
    #[serde(alias = "decay")]
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

/// Update rule of an optimizer.
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
                check("weight_decay", Range::NonNegative, s.weight_decay)
            }
            Self::Adam(a) => {
                check("beta1", Range::Fraction, a.beta1)?;
                check("beta2", Range::Fraction, a.beta2)?;
                check("epsilon", Range::Positive, a.epsilon)?;
                check("weight_decay", Range::NonNegative, a.weight_decay)
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
