//! Clipping of gradients, and norms.

use tensor::{Backend, Element, Tensor, read_all};

use crate::error::{Range, check};
use crate::{Error, Result};

/// Limits on gradients, against steps that are too long (Pascanu, Mikolov and Bengio, 2013). Weight decay is not limited.
///
/// ```
/// use alexnet_optim::tensor::{Cpu, Tensor};
/// use alexnet_optim::{Clipping, Optimizer, Sgd, Update};
///
/// let cpu = Cpu::<f64>::new(1)?;
/// let mut w = Tensor::zeros(&cpu, &[2])?;
/// let gradient = Tensor::from_slice(&cpu, &[2], &[30.0, 40.0])?;
/// let mut sgd = Optimizer::new(Sgd::default())?.with_clipping(Clipping::GlobalNorm(5.0))?;
/// sgd.step(1.0, vec![Update::new("w", &mut w, &gradient)])?;
/// assert_eq!(w.to_vec()?, [-3.0, -4.0]);
/// assert_eq!(sgd.gradient_norm(), Some(50.0)); // before clipping, for a log
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Clipping {
    /// Each value lies between minus this and this, which is above 0.
    Value(f64),
    /// If the Euclidean norm of all gradients of a step together is above this, which is above 0, all are scaled down to
    /// it. A step then needs all gradients at once, and waits for the device.
    GlobalNorm(f64),
}

impl Clipping {
    pub(crate) fn validate(&self) -> Result<()> {
        match *self {
            Self::Value(limit) => check("clipping value", Range::Positive, limit),
            Self::GlobalNorm(limit) => check("clipping norm", Range::Positive, limit),
        }
    }
}

/// The use of each gradient of a step.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Clamp(f64),
    Scale(f64),
}

/// A copy of the gradient with these changes.
pub(crate) fn change_all<B: Backend>(gradient: &Tensor<B>, changes: &[Change]) -> tensor::Result<Tensor<B>> {
    changes.iter().try_fold(gradient.clone(), |gradient, change| match *change {
        Change::Clamp(limit) => gradient.clamp(-limit, limit),
        Change::Scale(factor) => gradient.scale(factor),
    })
}

/// The scaling that brings gradients of this norm to the limit, if they are above it.
pub(crate) fn scale_to(limit: f64, norm: f64) -> Result<Option<Change>> {
    if !norm.is_finite() {
        return Err(Error::Norm { norm });
    }
    Ok((norm > limit).then(|| Change::Scale(limit / norm)))
}

/// The Euclidean norm of all gradients together, after `changes`.
pub(crate) fn global_norm<B: Backend>(gradients: &[&Tensor<B>], changes: &[Change]) -> tensor::Result<f64> {
    let changed = gradients.iter().map(|gradient| change_all(gradient, changes));
    Ok(squared_norms(changed)?.into_iter().sum::<f64>().sqrt())
}

/// The squared Euclidean norm of each tensor, read from the device at once.
pub(crate) fn squared_norms<B: Backend>(
    tensors: impl Iterator<Item = tensor::Result<Tensor<B>>>,
) -> tensor::Result<Vec<f64>> {
    let square = |t: Tensor<B>| t.multiply(&t)?.sum();
    let sums = tensors.map(|t| t.and_then(square)).collect::<tensor::Result<Vec<_>>>()?;
    let (sums, _) = read_all(&sums.iter().collect::<Vec<_>>(), &[])?;
    Ok(sums.into_iter().flatten().map(Element::f64).collect())
}
