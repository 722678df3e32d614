//! Optimizer steps, in place.

use crate::{Alloc, Backend, Handle, Operands, Operation, Result, Tensor};

/// One step of stochastic gradient descent with momentum (paper, section 5):
/// v <- momentum v - decay rate w - rate g; w <- w + v.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// The learning rate, epsilon.
    pub rate: f64,
    /// The factor of the velocity.
    pub momentum: f64,
    /// Weight decay.
    pub decay: f64,
    /// Nesterov momentum: w <- w + momentum v - decay rate w - rate g, with the new v and the old w. As in Keras, and as in
    /// PyTorch while the rate is constant (PyTorch's velocity does not contain the rate).
    pub nesterov: bool,
}

/// The paper's settings: rate 0.01, momentum 0.9, decay 0.0005.
impl Default for SgdStep {
    fn default() -> Self {
        Self { rate: 0.01, momentum: 0.9, decay: 5e-4, nesterov: false }
    }
}

/// One step of Adam (Kingma and Ba, 2015, algorithm 1):
/// m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; w <- w - rate mhat / (sqrt(vhat) + epsilon), with
/// mhat = m / (1 - b1^t) and vhat = v / (1 - b2^t). Weight decay adds decay * w to g, or is decoupled from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// The learning rate.
    pub rate: f64,
    /// b1, the decay of the mean.
    pub beta1: f64,
    /// b2, the decay of the mean square.
    pub beta2: f64,
    /// The constant added to the root.
    pub epsilon: f64,
    /// Weight decay.
    pub decay: f64,
    /// Whether weight decay is no part of the gradient but shrinks w before the step (AdamW; Loshchilov and Hutter, 2019):
    /// w <- (1 - rate decay) w.
    pub decoupled: bool,
    /// t, which is 1 at the first step.
    pub step: u64,
    /// Whether epsilon is added to sqrt(v) before the bias correction ("epsilon hat", as in Keras), not after it (as in
    /// algorithm 1 and PyTorch).
    pub epsilon_hat: bool,
}

/// The first step with the settings of algorithm 1: rate 0.001, b1 0.9, b2 0.999, epsilon 1e-8, no decay.
impl Default for AdamStep {
    fn default() -> Self {
        Self {
            rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            decay: 0.0,
            step: 1,
            epsilon_hat: false,
            decoupled: false,
        }
    }
}

/// The factors of [`AdamStep`]'s formula, with the bias correction moved out of the loop over the weights:
/// w <- keep w - rate m / (scale sqrt(v) + epsilon).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AdamFactors {
    pub beta1: f64,
    pub rest1: f64,
    pub beta2: f64,
    pub rest2: f64,
    pub decay: f64,
    pub keep: f64,
    pub rate: f64,
    pub scale: f64,
    pub epsilon: f64,
}

impl AdamStep {
    /// Computes the factors in double precision.
    pub(crate) fn factors(&self) -> AdamFactors {
        let &Self { rate, beta1, beta2, epsilon, decay, decoupled, step, epsilon_hat } = self;
        let correct1 = 1.0 - beta1.powf(step as f64);
        let correct2 = (1.0 - beta2.powf(step as f64)).sqrt();
        let (decay, keep) = if decoupled { (0.0, 1.0 - rate * decay) } else { (decay, 1.0) };
        // rate mhat / (sqrt(vhat) + e) = rate / correct1 * m / (sqrt(v) / correct2 + e); with epsilon hat it is
        // rate * correct2 / correct1 * m / (sqrt(v) + e).
        let (rate, scale) =
            if epsilon_hat { (rate * correct2 / correct1, 1.0) } else { (rate / correct1, 1.0 / correct2) };
        AdamFactors { beta1, rest1: 1.0 - beta1, beta2, rest2: 1.0 - beta2, decay, keep, rate, scale, epsilon }
    }
}

/// The operands of an SGD step on one parameter, all of one shape.
#[derive(Debug)]
pub struct SgdUpdate<'a, T> {
    /// The step.
    pub step: SgdStep,
    /// The weights.
    pub w: &'a mut T,
    /// Their velocity.
    pub v: &'a mut T,
    /// Their gradient.
    pub g: &'a T,
}

/// The operands of an Adam step on one parameter, all of one shape.
#[derive(Debug)]
pub struct AdamUpdate<'a, T> {
    /// The step.
    pub step: AdamStep,
    /// The weights.
    pub w: &'a mut T,
    /// The mean of gradients.
    pub m: &'a mut T,
    /// The mean of squared gradients.
    pub v: &'a mut T,
    /// The gradient.
    pub g: &'a T,
}

impl<F, I> Operands<F, I> for Vec<SgdUpdate<'_, F>> {
    fn floats(&self) -> Vec<&F> {
        self.iter().flat_map(|u| [&*u.w, &*u.v, u.g]).collect()
    }

    fn in_place(&mut self) -> Vec<&mut F> {
        self.iter_mut().flat_map(|u| [&mut *u.w, &mut *u.v]).collect()
    }
}

impl<F, I> Operands<F, I> for Vec<AdamUpdate<'_, F>> {
    fn floats(&self) -> Vec<&F> {
        self.iter().flat_map(|u| [&*u.w, &*u.m, &*u.v, u.g]).collect()
    }

    fn in_place(&mut self) -> Vec<&mut F> {
        self.iter_mut().flat_map(|u| [&mut *u.w, &mut *u.m, &mut *u.v]).collect()
    }
}

/// Updates w and v of several parameters in place. One kernel takes them all, because most parameters of a network are
/// small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdSteps;

impl Operation for SgdSteps {
    type In<'a, F: Handle, I: Handle> = Vec<SgdUpdate<'a, F>>;
    type Out<F: Handle, I: Handle> = [F; 0];

    fn name(&self) -> &'static str {
        "sgd"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, _: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        let reborrow = |u: &'s mut SgdUpdate<'a, F>| SgdUpdate { step: u.step, w: &mut *u.w, v: &mut *u.v, g: u.g };
        operands.iter_mut().map(reborrow).collect()
    }
}

/// Updates w, m and v of several parameters in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSteps;

impl Operation for AdamSteps {
    type In<'a, F: Handle, I: Handle> = Vec<AdamUpdate<'a, F>>;
    type Out<F: Handle, I: Handle> = [F; 0];

    fn name(&self) -> &'static str {
        "adam"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, _: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        let reborrow = |u: &'s mut AdamUpdate<'a, F>| AdamUpdate {
            step: u.step,
            w: &mut *u.w,
            m: &mut *u.m,
            v: &mut *u.v,
            g: u.g,
        };
        operands.iter_mut().map(reborrow).collect()
    }
}

impl<B: Backend> Tensor<B> {
    /// One step on the weights `self` with velocity `v` and gradient `g`, all of one shape.
    ///
    /// ```
    /// use alexnet_tensor::ops::SgdStep;
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let mut w = Tensor::full(&cpu, &[2], 1.0)?;
    /// let mut velocity = Tensor::zeros(&cpu, &[2])?;
    /// let gradient = Tensor::full(&cpu, &[2], 0.5)?;
    /// let step = SgdStep { rate: 0.5, decay: 0.0, ..SgdStep::default() };
    /// w.sgd_step(&step, &mut velocity, &gradient)?;
    /// assert_eq!(w.to_vec()?, [0.75; 2]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for different shapes.
    pub fn sgd_step(&mut self, s: &SgdStep, v: &mut Self, g: &Self) -> Result<()> {
        Self::sgd_steps(vec![SgdUpdate { step: *s, w: self, v, g }])
    }

    /// One step on each of several parameters of one device, together: on a GPU in one launch.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), with nothing changed, where the tensors of an update differ in shape.
    pub fn sgd_steps(updates: Vec<SgdUpdate<'_, Self>>) -> Result<()> {
        for u in &updates {
            u.w.same_shape("sgd", u.v)?;
            u.w.same_shape("sgd", u.g)?;
        }
        let Some(device) = updates.first().map(|u| u.w.device().clone()) else { return Ok(()) };
        let buffers = updates.into_iter().map(|SgdUpdate { step, w, v, g }| SgdUpdate {
            step,
            w: &mut w.data,
            v: &mut v.data,
            g: &g.data,
        });
        device.run(&SgdSteps, buffers.collect())?;
        Ok(())
    }

    /// One step on the weights `self` with moments `m`, `v` and gradient `g`, all of one shape.
    ///
    /// ```
    /// use alexnet_tensor::ops::AdamStep;
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let mut w = Tensor::full(&cpu, &[1], 1.0)?;
    /// let mut mean = Tensor::zeros(&cpu, &[1])?;
    /// let mut mean_square = Tensor::zeros(&cpu, &[1])?;
    /// for step in 1..=10 {
    ///     let gradient = w.scale(2.0)?; // of w squared
    ///     w.adam_step(&AdamStep { rate: 0.1, step, ..AdamStep::default() }, &mut mean, &mut mean_square, &gradient)?;
    /// }
    /// assert!(w.scalar()? < 0.3);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for different shapes.
    pub fn adam_step(&mut self, s: &AdamStep, m: &mut Self, v: &mut Self, g: &Self) -> Result<()> {
        Self::adam_steps(vec![AdamUpdate { step: *s, w: self, m, v, g }])
    }

    /// One step on each of several parameters of one device, together: on a GPU in one launch.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), with nothing changed, where the tensors of an update differ in shape.
    pub fn adam_steps(updates: Vec<AdamUpdate<'_, Self>>) -> Result<()> {
        for u in &updates {
            u.w.same_shape("adam", u.m)?;
            u.w.same_shape("adam", u.v)?;
            u.w.same_shape("adam", u.g)?;
        }
        let Some(device) = updates.first().map(|u| u.w.device().clone()) else { return Ok(()) };
        let buffers = updates.into_iter().map(|AdamUpdate { step, w, m, v, g }| AdamUpdate {
            step,
            w: &mut w.data,
            m: &mut m.data,
            v: &mut v.data,
            g: &g.data,
        });
        device.run(&AdamSteps, buffers.collect())?;
        Ok(())
    }
}
