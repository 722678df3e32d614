//! One training step: section 5 of the paper.

use std::collections::HashMap;

use layers::{Mode, Module, Network, ParameterId, Pass, Var};
use optim::{Optimizer, Update};
use tensor::{Backend, IntTensor, Tensor};

use crate::metrics::PendingMetrics;
use crate::{Error, Result, Targets, diagnose};

/// Settings of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOptions {
    /// Random seed of the dropout masks.
    pub seed: u64,
    /// Number of the step, from 0. The dropout masks follow from it and the seed.
    pub step: u64,
    /// Learning rate, before the multipliers of the parameters.
    pub learning_rate: f64,
    /// Whether the step fails before its update if the loss is not finite. To know that, it waits for the device.
    pub require_finite_loss: bool,
}

/// Takes one training step: forward, loss, backward, update.
///
/// `images` are a network's input, as [`DeviceLoader`](crate::device_loader::DeviceLoader) makes it; `targets` are
/// labels, or mixtures of labels.
///
/// # Errors
/// [`Error::Diverged`] before anything is changed if a finite loss is required and the loss is not. After an error of
/// the parts, some parameters may have been updated and others not.
pub fn step<'a, B: Backend<Scalar = f32>>(
    network: &mut Network<B>,
    optimizer: &mut Optimizer<B>,
    images: Tensor<B>,
    targets: impl Into<Targets<'a>>,
    options: StepOptions,
) -> Result<PendingMetrics<B>> {
    preallocate(network, optimizer)?;
    let images_to_diagnose = options.require_finite_loss.then(|| images.clone());
    let mode = Mode::Train { seed: options.seed, step: options.step };
    let mut forward = Forward::run(network, images, targets.into(), mode)?;
    if let Some(images) = images_to_diagnose {
        forward.require_finite_loss(network, images, options.step)?;
    }
    let metrics = forward.metrics.clone();
    forward.update(network, optimizer, options.learning_rate)?;
    Ok(metrics)
}

/// Allocates the optimizer's state before the activations, so that it leaves no gaps where they are freed.
fn preallocate<B: Backend>(network: &Network<B>, optimizer: &mut Optimizer<B>) -> Result<()> {
    let trained = network.parameters().iter().filter(|p| p.spec.is_trainable());
    Ok(optimizer.preallocate(trained.map(|p| (p.spec.name.as_str(), &p.value)))?)
}

/// The forward half of a step, up to the loss.
struct Forward<B: Backend> {
    pass: Pass<B>,
    loss: Var<B>,
    metrics: PendingMetrics<B>,
}

impl<B: Backend<Scalar = f32>> Forward<B> {
    fn run(network: &Network<B>, images: Tensor<B>, targets: Targets<'_>, mode: Mode) -> Result<Self> {
        let labels = IntTensor::from_slice(network.device(), targets.labels)?;
        let mut pass = Pass::new(mode);
        let logits = network.forward(&Var::constant(images), &mut pass)?;
        let classes = network.model().classes;
        let loss = match targets.onehot_minus_targets(classes) {
            Some(difference) => {
                let shape = [targets.labels.len(), classes];
                let difference = Tensor::from_slice(network.device(), &shape, &difference)?;
                pass.tape.soft_cross_entropy(&logits, &labels, &difference)?
            }
            None => pass.tape.cross_entropy(&logits, &labels)?,
        };
        let wrong = logits.value().rank_of_label(&labels)?.count_ge(1)?;
        let metrics = PendingMetrics::OnDevice { loss: loss.value().clone(), wrong };
        Ok(Self { pass, loss, metrics })
    }

    fn require_finite_loss(&mut self, network: &Network<B>, images: Tensor<B>, step: u64) -> Result<()> {
        let metrics = self.metrics.read()?;
        if !metrics.loss.is_finite() {
            let place = diagnose::first_not_finite(network, images)?;
            return Err(Error::diverged(step + 1, metrics.loss, place, "before the update"));
        }
        self.metrics = PendingMetrics::Read(metrics);
        Ok(())
    }

    /// Walks back through the tape and updates parameters as soon as their gradients are complete, so that the
    /// gradients of all are never held at once.
    fn update(self, network: &mut Network<B>, optimizer: &mut Optimizer<B>, learning_rate: f64) -> Result<()> {
        let Self { pass, loss, .. } = self;
        let mut step = optimizer.begin(learning_rate)?;
        let mut gradients = Vec::new();
        let mut values = 0;
        let statistics = pass.backward_each(loss, |parameter, gradient| {
            values += gradient.len();
            gradients.push((parameter, gradient));
            if values < MIN_UPDATE_VALUES {
                return Ok(());
            }
            values = 0;
            update(network, &mut step, &std::mem::take(&mut gradients))
        })?;
        update(network, &mut step, &gradients)?;
        statistics.store(network);
        Ok(())
    }
}

/// Minimum number of values to update in one call, except in the last: each call is a launch on a GPU.
const MIN_UPDATE_VALUES: usize = 8 << 20;

/// Updates the parameters whose gradients are given.
fn update<B: Backend>(
    network: &mut Network<B>,
    step: &mut optim::Step<'_, B>,
    gradients: &[(ParameterId, Tensor<B>)],
) -> Result<()> {
    let mut by_id: HashMap<ParameterId, &Tensor<B>> = gradients.iter().map(|(id, g)| (*id, g)).collect();
    let updates = network.parameters_mut().iter_mut().filter_map(|parameter| {
        let gradient = by_id.remove(&parameter.id())?;
        let spec = &parameter.spec;
        let name = &spec.name;
        let value = &mut parameter.value;
        Some(Update { name, value, gradient, lr_mult: spec.rate, decay_mult: spec.decay })
    });
    Ok(step.update(updates.collect())?)
}
