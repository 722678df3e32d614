//! One training step: section 5 of the paper.

use std::collections::HashMap;

use layers::{Mode, Network, Pass, Tape, Var};
use optim::{Optimizer, Update};
use tensor::{Backend, IntTensor, Tensor, read_all};

use crate::{Error, Result, Targets, diagnose};

/// What a step showed, before its update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Mean cross-entropy of the batch with its targets, in nats.
    pub loss: f64,
    /// Images whose label was not the first guess.
    pub wrong: usize,
}

/// An [`Outcome`] that is still on the device.
#[derive(Clone, Debug)]
pub struct Shown<B: Backend> {
    loss: Tensor<B>,
    wrong: IntTensor<B>,
}

impl<B: Backend> Shown<B> {
    /// What several steps showed: the device is waited for once.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read(steps: &[&Self]) -> Result<Vec<Outcome>> {
        let (losses, wrong): (Vec<_>, Vec<_>) = steps.iter().map(|shown| (&shown.loss, &shown.wrong)).unzip();
        let (losses, wrong) = read_all(&losses, &wrong)?;
        let pairs = losses.into_iter().flatten().zip(wrong.into_iter().flatten());
        Ok(pairs.map(|(loss, wrong)| Outcome { loss: tensor::Element::f64(loss), wrong: wrong as usize }).collect())
    }
}

/// Forward, loss, backward, update. `images` are a network's input, [`Preparer`](crate::feed::Preparer) makes them;
/// `targets` are labels, or shares of several; `step` counts from 0 and keys the dropout masks.
///
/// # Errors
/// [`Error::Diverged`] before anything is changed if the loss is not finite; errors of the parts, after which some
/// parameters may have had their update and others not.
pub fn step<'a, B: Backend<Scalar = f32>>(
    network: &mut Network<B>,
    optimizer: &mut Optimizer<B>,
    images: Tensor<B>,
    targets: impl Into<Targets<'a>>,
    seed: u64,
    step: u64,
    rate: f64,
) -> Result<Outcome> {
    reserve(network, optimizer)?;
    let forward = Forward::new(network, images.clone(), targets.into(), Mode::Train { seed, step })?;
    let outcome = match Shown::read(&[&forward.shown])?.pop() {
        Some(outcome) if outcome.loss.is_finite() => outcome,
        other => {
            let loss = other.map_or(f64::NAN, |outcome| outcome.loss);
            let place = diagnose::first_not_finite(network, images)?;
            return Err(Error::diverged(step + 1, loss, place, "before the update"));
        }
    };
    drop(images);
    forward.update(network, optimizer, rate)?;
    Ok(outcome)
}

/// As [`step`], without waiting for the device: whether the loss is finite is not known when the update is made.
///
/// # Errors
/// Those of the parts, as in [`step`].
pub fn step_unread<'a, B: Backend<Scalar = f32>>(
    network: &mut Network<B>,
    optimizer: &mut Optimizer<B>,
    images: Tensor<B>,
    targets: impl Into<Targets<'a>>,
    seed: u64,
    step: u64,
    rate: f64,
) -> Result<Shown<B>> {
    reserve(network, optimizer)?;
    let forward = Forward::new(network, images, targets.into(), Mode::Train { seed, step })?;
    let shown = forward.shown.clone();
    forward.update(network, optimizer, rate)?;
    Ok(shown)
}

/// What the optimizer remembers is made before what a step gives back, so that it leaves no gaps there.
fn reserve<B: Backend>(network: &Network<B>, optimizer: &mut Optimizer<B>) -> Result<()> {
    let learning = network.parameters().iter().filter(|p| p.spec.trained && p.spec.rate > 0.0);
    Ok(optimizer.reserve(learning.map(|p| (p.spec.name.as_str(), &p.value)))?)
}

/// A step up to its loss.
struct Forward<B: Backend> {
    tape: Tape<B>,
    pass: Pass<B>,
    loss: Var<B>,
    shown: Shown<B>,
}

impl<B: Backend<Scalar = f32>> Forward<B> {
    fn new(network: &Network<B>, images: Tensor<B>, targets: Targets<'_>, mode: Mode) -> Result<Self> {
        let labels = IntTensor::from_slice(network.device(), targets.labels)?;
        let mut tape = Tape::new();
        let pass = network.forward(&mut tape, images, mode)?;
        let classes = network.model().classes;
        let loss = match targets.excess(classes) {
            Some(excess) => {
                let excess = Tensor::from_slice(network.device(), &[targets.labels.len(), classes], &excess)?;
                tape.soft_cross_entropy(&pass.logits, &labels, &excess)?
            }
            None => tape.cross_entropy(&pass.logits, &labels)?,
        };
        let wrong = pass.logits.value().rank_of_label(&labels)?.count_ge(1)?;
        let shown = Shown { loss: loss.value().clone(), wrong };
        Ok(Self { tape, pass, loss, shown })
    }

    /// Each parameter is updated when its gradient is complete, so that the gradients of all are never held at once.
    fn update(self, network: &mut Network<B>, optimizer: &mut Optimizer<B>, rate: f64) -> Result<()> {
        let Self { tape, pass: Pass { logits, parameters, statistics }, loss, .. } = self;
        drop(logits);
        let mut step = optimizer.begin(rate)?;
        let mut waiting = Vec::new();
        let mut values = 0;
        tape.backward_each(loss, parameters, |number, gradient| {
            values += gradient.len();
            waiting.push((number, gradient));
            if values < TOGETHER {
                return Ok(());
            }
            values = 0;
            update(network, &mut step, &std::mem::take(&mut waiting))
        })?;
        update(network, &mut step, &waiting)?;
        for (index, value) in statistics {
            network.parameters_mut()[index].value = value;
        }
        Ok(())
    }
}

/// Gradients of fewer values than this wait for others: each call is a launch on a GPU.
const TOGETHER: usize = 8 << 20;

/// Takes the step on some of a network's parameters, by number.
fn update<B: Backend>(
    network: &mut Network<B>,
    step: &mut optim::Step<'_, B>,
    gradients: &[(usize, Tensor<B>)],
) -> Result<()> {
    let mut by_number: HashMap<usize, &Tensor<B>> = gradients.iter().map(|(number, g)| (*number, g)).collect();
    let updates = network.parameters_mut().iter_mut().enumerate().filter_map(|(number, parameter)| {
        let gradient = by_number.remove(&number)?;
        let spec = &parameter.spec;
        let name = &spec.name;
        let value = &mut parameter.value;
        Some(Update { name, value, gradient, rate: spec.rate, decay: spec.decay })
    });
    Ok(step.update(updates.collect())?)
}
