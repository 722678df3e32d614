//! Layer-wise adaptive rate scaling.

use tensor::ops::{SgdStep, SgdUpdate};
use tensor::{Backend, Tensor};

use super::tensors;
use crate::clipping::squared_norms;
use crate::error::{Range, check};
use crate::{ParameterStep, Result, UpdateRule};

/// LARS (You, Gitman and Ginsburg, 2017), gradient descent for large batches: the learning rate of each parameter is
/// scaled so that a step has a length proportional to the parameter's:
/// r = trust ||w|| / (||g|| + weight_decay ||w||), v <- momentum v - r lr (g + weight_decay w); w <- w + v.
///
/// Where a norm is 0, as that of a new bias, r is 1. Biases and the scales of normalisation are usually left out, by a
/// [`Group`](crate::Group) with the rule [`Sgd`](crate::Sgd). Each step reads the norms back from the device, and so waits
/// for it.
///
/// State: `lars.momentum/PARAMETER`, the velocity.
///
/// ```
/// use alexnet_optim::tensor::{Cpu, Tensor};
/// use alexnet_optim::{Group, Lars, Optimizer, Sgd, Update};
///
/// let cpu = Cpu::<f64>::new(1)?;
/// let mut w = Tensor::from_slice(&cpu, &[2], &[3.0, 4.0])?;
/// let gradient = Tensor::from_slice(&cpu, &[2], &[0.0, 64.0])?;
/// let lars = Lars { trust: 0.125, weight_decay: 0.0, ..Lars::default() };
/// let mut lars = Optimizer::new(lars)?.with_group(Group::new(|name| name.ends_with(".bias")).rule(Sgd::default()))?;
/// lars.step(1.0, vec![Update::new("w", &mut w, &gradient)])?;
/// assert_eq!(w.to_vec()?, [3.0, 4.0 - 0.125 * 5.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Lars {
    /// Trust coefficient, above 0: the length of a step as a fraction of the parameter's, before the learning rate.
    pub trust: f64,
    /// Momentum, at least 0 and below 1.
    pub momentum: f64,
    /// Weight decay, at least 0. Each parameter's multiplier applies to it.
    pub weight_decay: f64,
}

impl Default for Lars {
    /// The settings of the publication for AlexNet: trust coefficient 0.001, momentum 0.9, weight decay 0.0005.
    fn default() -> Self {
        Self { trust: 0.001, momentum: 0.9, weight_decay: 0.0005 }
    }
}

impl Lars {
    /// The factor of the learning rate for parameters and gradients of these norms.
    fn ratio(&self, decay: f64, w: f64, g: f64) -> f64 {
        if w > 0.0 && g > 0.0 { self.trust * w / (g + decay * w) } else { 1.0 }
    }
}

impl<B: Backend> UpdateRule<B> for Lars {
    fn name(&self) -> &str {
        "lars"
    }

    fn validate(&self) -> Result<()> {
        check("trust", Range::Positive, self.trust)?;
        check("momentum", Range::Fraction, self.momentum)?;
        check("weight_decay", Range::NonNegative, self.weight_decay)
    }

    fn state(&self) -> &[&str] {
        &["lars.momentum"]
    }

    fn update(&self, parameter: ParameterStep<'_, B>) -> tensor::Result<()> {
        self.update_all(vec![parameter])
    }

    fn update_all(&self, parameters: Vec<ParameterStep<'_, B>>) -> tensor::Result<()> {
        let squares = squared_norms(parameters.iter().flat_map(|p| [p.value.clone(), p.gradient.clone()]).map(Ok))?;
        let mut updates = Vec::new();
        for (p, squares) in parameters.into_iter().zip(squares.chunks(2)) {
            let decay = self.weight_decay * p.decay_mult;
            let rate = p.rate * self.ratio(decay, squares[0].sqrt(), squares[1].sqrt());
            let step = SgdStep { rate, momentum: self.momentum, decay, nesterov: false };
            let [v] = tensors(p.state);
            updates.push(SgdUpdate { step, w: p.value, v, g: p.gradient });
        }
        Tensor::sgd_steps(updates)
    }
}
