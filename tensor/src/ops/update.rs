//! Optimizer steps, in place.

use crate::{Backend, Device, Result, Tensor};

/// One step of gradient descent with momentum. As the paper (section 5) writes it:
/// v <- momentum v - decay rate w - rate g; w <- w + v.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// The learning rate, epsilon.
    pub rate: f64,
    /// The share of the last step that is kept.
    pub momentum: f64,
    /// Weight decay.
    pub decay: f64,
    /// Nesterov's form: w <- w + momentum v - decay rate w - rate g with the new v and, in the decay, the old w.
    /// Keras' form, and PyTorch's while the rate is constant (its velocity is multiplied by the rate only when used).
    pub nesterov: bool,
}

/// One step of Adam (Kingma and Ba, 2015, algorithm 1):
/// m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; w <- w - rate mhat / (sqrt(vhat) + epsilon), with
/// mhat = m / (1 - b1^t) and vhat = v / (1 - b2^t). Weight decay adds decay * w to g.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// The learning rate.
    pub rate: f64,
    /// b1.
    pub beta1: f64,
    /// b2.
    pub beta2: f64,
    /// Added to the root.
    pub epsilon: f64,
    /// Weight decay.
    pub decay: f64,
    /// t: 1 at the first step.
    pub step: u64,
    /// Where epsilon goes: false as in the paper's algorithm 1 and PyTorch; true adds it to sqrt(v) before the bias
    /// correction ("epsilon hat"), as Keras does.
    pub epsilon_hat: bool,
}

/// What a backend supplies. The weights are written in place.
pub trait Kernels: Device {
    /// Updates w and v.
    fn sgd_step(
        &self,
        len: usize,
        s: &SgdStep,
        w: &mut Self::Floats,
        v: &mut Self::Floats,
        g: &Self::Floats,
    ) -> Result<()>;
    /// Updates w, m and v.
    fn adam_step(
        &self,
        len: usize,
        s: &AdamStep,
        w: &mut Self::Floats,
        m: &mut Self::Floats,
        v: &mut Self::Floats,
        g: &Self::Floats,
    ) -> Result<()>;
}

impl<B: Backend> Tensor<B> {
    /// One step on the weights `self` with velocity `v` and gradient `g`, all of one shape.
    pub fn sgd_step(&mut self, s: &SgdStep, v: &mut Self, g: &Self) -> Result<()> {
        self.same_shape("sgd", v)?;
        self.same_shape("sgd", g)?;
        let (device, len) = (self.device().clone(), self.len());
        device.sgd_step(len, s, &mut self.data, &mut v.data, &g.data)
    }

    /// One step on the weights `self` with moments `m`, `v` and gradient `g`, all of one shape.
    pub fn adam_step(&mut self, s: &AdamStep, m: &mut Self, v: &mut Self, g: &Self) -> Result<()> {
        self.same_shape("adam", m)?;
        self.same_shape("adam", v)?;
        self.same_shape("adam", g)?;
        let (device, len) = (self.device().clone(), self.len());
        device.adam_step(len, s, &mut self.data, &mut m.data, &mut v.data, &g.data)
    }
}
