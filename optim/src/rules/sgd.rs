//! Gradient descent with momentum.

use tensor::ops::{SgdStep, SgdUpdate};
use tensor::{Backend, Tensor};

use super::tensors;
use crate::error::{Range, check};
use crate::{ParameterStep, Result, UpdateRule};

/// Gradient descent with momentum and weight decay (paper, section 5):
/// v <- momentum v - weight_decay lr w - lr g; w <- w + v.
///
/// The learning rate lr is inside the velocity v, as in cuda-convnet and Caffe: after lr drops, the velocity still holds
/// steps at the old one. PyTorch keeps lr outside (v <- momentum v + g + weight_decay w; w <- w - lr v). The two are equal
/// as long as lr is constant.
///
/// State: `momentum/PARAMETER`, the velocity.
///
/// ```
/// use alexnet_optim::tensor::{Cpu, Tensor};
/// use alexnet_optim::{Optimizer, Sgd, Update};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut w = Tensor::full(&cpu, &[2], 1.0)?;
/// let gradient = Tensor::full(&cpu, &[2], 0.5)?;
/// let mut sgd = Optimizer::new(Sgd { weight_decay: 0.0, ..Sgd::default() })?;
/// sgd.step(0.5, vec![Update::new("w", &mut w, &gradient)])?;
/// assert_eq!(w.to_vec()?, [0.75, 0.75]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Sgd {
    /// Momentum, at least 0 and below 1.
    pub momentum: f64,
    /// Weight decay, at least 0. Each parameter's multiplier applies to it.
    #[cfg_attr(feature = "serde", serde(alias = "decay"))]
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

impl<B: Backend> UpdateRule<B> for Sgd {
    fn name(&self) -> &str {
        "sgd"
    }

    fn validate(&self) -> Result<()> {
        check("momentum", Range::Fraction, self.momentum)?;
        check("weight_decay", Range::NonNegative, self.weight_decay)
    }

    fn state(&self) -> &[&str] {
        &["momentum"]
    }

    fn update(&self, parameter: ParameterStep<'_, B>) -> tensor::Result<()> {
        self.update_all(vec![parameter])
    }

    fn update_all(&self, parameters: Vec<ParameterStep<'_, B>>) -> tensor::Result<()> {
        let Self { momentum, weight_decay, nesterov } = *self;
        let update = |p| {
            let ParameterStep { value, gradient, state, rate, decay_mult, .. } = p;
            let step = SgdStep { rate, momentum, decay: weight_decay * decay_mult, nesterov };
            let [v] = tensors(state);
            SgdUpdate { step, w: value, v, g: gradient }
        };
        Tensor::sgd_steps(parameters.into_iter().map(update).collect())
    }
}
