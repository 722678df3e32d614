//! One training step: section 5 of the paper.

use std::collections::HashMap;

use layers::{Mode, Module, Network, ParameterId, Parameters, Pass, Var};
use optim::{Optimizer, Update};
use tensor::{Backend, Tensor};

use crate::loss::BatchLoss;
use crate::metrics::PendingMetrics;
use crate::{Result, Targets, diagnose};

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

/// Takes one training step of a network that classifies images: forward, loss, backward, update.
///
/// `images` are a network's input, as [`DeviceLoader`](crate::device_loader::DeviceLoader) makes it; `targets` are
/// labels, or mixtures of labels.
///
/// # Errors
/// [`Error::Diverged`](crate::Error::Diverged) before anything is changed if a finite loss is required and the loss is
/// not. After an error of the parts, some parameters may have been updated and others not.
///
/// ```
/// use alexnet_train::layers::{Model, Network};
/// use alexnet_train::optim::{Optimizer, Sgd};
/// use alexnet_train::step::{StepOptions, step};
/// use alexnet_train::tensor::{Cpu, Tensor};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut network = Network::new(&cpu, &Model::preset("linear")?, 1)?;
/// let mut sgd = Optimizer::new(Sgd::default())?;
/// let images = Tensor::full(&cpu, &[2, 32, 32, 3], 0.5)?;
/// let options = StepOptions { seed: 1, step: 0, learning_rate: 0.01, require_finite_loss: true };
/// let metrics = step(&mut network, &mut sgd, images, &[3, 7], options)?.read()?;
/// assert!(metrics.loss > 0.0);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
pub fn step<'a, B: Backend<Scalar = f32>>(
    network: &mut Network<B>,
    optimizer: &mut Optimizer<B>,
    images: Tensor<B>,
    targets: impl Into<Targets<'a>>,
    options: StepOptions,
) -> Result<PendingMetrics<B>> {
    step_with(network, optimizer, options, |network, pass| {
        classify(network, images, targets.into(), pass, options.require_finite_loss)
    })
}

/// Takes one training step of any module: `loss` runs it forward and returns the loss; then backward and update.
///
/// # Errors
/// Those of [`step`].
///
/// ```
/// use alexnet_train::BatchLoss;
/// use alexnet_train::layers::{Model, Module, Network, Var};
/// use alexnet_train::optim::{Optimizer, Sgd};
/// use alexnet_train::step::{StepOptions, step_with};
/// use alexnet_train::tensor::{Cpu, Tensor};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut network = Network::new(&cpu, &Model::preset("linear")?, 1)?;
/// let mut sgd = Optimizer::new(Sgd::default())?;
/// let options = StepOptions { seed: 1, step: 0, learning_rate: 0.01, require_finite_loss: true };
/// let images = Var::constant(Tensor::full(&cpu, &[2, 32, 32, 3], 0.5)?);
/// let metrics = step_with(&mut network, &mut sgd, options, |network, pass| {
///     let outputs = network.forward(&images, pass)?;
///     let squares = pass.tape.multiply(&outputs, &outputs)?;
///     Ok(BatchLoss::new(pass.tape.mean(&squares)?, 2))
/// })?;
/// assert!(metrics.read()?.loss > 0.0);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
pub fn step_with<B: Backend, M: Parameters<B> + ?Sized>(
    module: &mut M,
    optimizer: &mut Optimizer<B>,
    options: StepOptions,
    loss: impl FnOnce(&M, &mut Pass<B>) -> Result<BatchLoss<B>>,
) -> Result<PendingMetrics<B>> {
    preallocate(module, optimizer)?;
    let mut pass = Pass::new(Mode::Train { seed: options.seed, step: options.step });
    let mut loss = loss(module, &mut pass)?;
    if options.require_finite_loss {
        loss.require_finite(pass.mode(), || diagnose::place_of_loss(module))?;
    }
    let (loss, metrics) = loss.into_parts();
    backward_and_update(pass, loss, module, optimizer, options.learning_rate)?;
    Ok(metrics)
}

/// The gradients of several batches, for one step with the gradient of the mean over all their examples, as of one large
/// batch: gradient accumulation. Batch norms normalise each batch by itself. The gradients of all parameters are in
/// memory until the update.
///
/// ```
/// use alexnet_train::layers::{Model, Module, Network, Var};
/// use alexnet_train::optim::{Optimizer, Sgd};
/// use alexnet_train::step::{Accumulation, StepOptions};
/// use alexnet_train::tensor::{Cpu, Tensor};
/// use alexnet_train::BatchLoss;
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut network = Network::new(&cpu, &Model::preset("linear")?, 1)?;
/// let mut sgd = Optimizer::new(Sgd::default())?;
/// let mut gathered = Accumulation::new();
/// for batch in 0..2 {
///     let images = Var::constant(Tensor::full(&cpu, &[3, 32, 32, 3], 0.5)?);
///     let options = StepOptions { seed: 1, step: batch, learning_rate: 0.01, require_finite_loss: true };
///     gathered.add(&mut network, options, |network, pass| {
///         BatchLoss::cross_entropy(&network.forward(&images, pass)?, &[1, 2, 3], pass)
///     })?;
/// }
/// let metrics = gathered.update(&mut network, &mut sgd, 0.01)?;
/// assert_eq!((metrics.len(), sgd.steps()), (2, 1));
/// # Ok::<(), alexnet_train::Error>(())
/// ```
pub struct Accumulation<B: Backend> {
    /// Sums over the batches, each times its examples divided by those of the first.
    gradients: HashMap<ParameterId, Tensor<B>>,
    metrics: Vec<PendingMetrics<B>>,
}

impl<B: Backend> Default for Accumulation<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Backend> Accumulation<B> {
    /// No batch yet.
    pub fn new() -> Self {
        Self { gradients: HashMap::new(), metrics: Vec::new() }
    }

    /// Number of batches so far.
    pub fn batches(&self) -> usize {
        self.metrics.len()
    }

    /// Adds the gradients of a batch: `loss` runs the module forward and returns its loss. The options' step is that of
    /// the dropout masks, and should differ from batch to batch; their learning rate is not used.
    ///
    /// # Errors
    /// Those of [`step`].
    pub fn add<M: Parameters<B> + ?Sized>(
        &mut self,
        module: &mut M,
        options: StepOptions,
        loss: impl FnOnce(&M, &mut Pass<B>) -> Result<BatchLoss<B>>,
    ) -> Result<()> {
        let mut pass = Pass::new(Mode::Train { seed: options.seed, step: options.step });
        let mut loss = loss(module, &mut pass)?;
        if options.require_finite_loss {
            loss.require_finite(pass.mode(), || diagnose::place_of_loss(module))?;
        }
        let (loss, metrics) = loss.into_parts();
        let first = self.metrics.first().map_or(metrics.examples(), PendingMetrics::examples);
        let factor = metrics.examples() as f64 / first.max(1) as f64;
        let gradients = &mut self.gradients;
        let statistics = pass.backward_each(loss, |parameter, gradient| -> Result<()> {
            match gradients.get_mut(&parameter) {
                Some(sum) => sum.add_scaled(factor, &gradient)?,
                None if factor == 1.0 => _ = gradients.insert(parameter, gradient),
                None => _ = gradients.insert(parameter, gradient.scale(factor)?),
            }
            Ok(())
        })?;
        statistics.store(module);
        self.metrics.push(metrics);
        Ok(())
    }

    /// Takes the step. Returns the metrics of each batch.
    ///
    /// # Errors
    /// Those of the optimizer.
    pub fn update<M: Parameters<B> + ?Sized>(
        self,
        module: &mut M,
        optimizer: &mut Optimizer<B>,
        learning_rate: f64,
    ) -> Result<Vec<PendingMetrics<B>>> {
        let Self { mut gradients, metrics } = self;
        let first = metrics.first().map_or(1, PendingMetrics::examples);
        let examples: usize = metrics.iter().map(PendingMetrics::examples).sum();
        if examples != first {
            for gradient in gradients.values_mut() {
                *gradient = gradient.scale(first as f64 / examples as f64)?;
            }
        }
        update(module, &mut optimizer.begin(learning_rate)?, gradients)?;
        Ok(metrics)
    }
}

/// Allocates the optimizer's state before the activations, so that it leaves no gaps where they are freed.
pub(crate) fn preallocate<B: Backend, M: Parameters<B> + ?Sized>(
    module: &M,
    optimizer: &mut Optimizer<B>,
) -> Result<()> {
    let parameters = module.named_parameters();
    let trained = parameters.iter().filter(|(_, p)| p.spec.is_trainable());
    Ok(optimizer.preallocate(trained.map(|(name, p)| (name.as_str(), &p.value)))?)
}

/// The loss of a network that classifies images, up to the logits in the network's own nodes. If a finite loss is
/// required, the error names the first layer with a value that is not finite.
pub(crate) fn classify<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    images: Tensor<B>,
    targets: Targets<'_>,
    pass: &mut Pass<B>,
    require_finite_loss: bool,
) -> Result<BatchLoss<B>> {
    let images_to_diagnose = require_finite_loss.then(|| images.clone());
    let logits = network.forward(&Var::constant(images), pass)?;
    let mut loss = BatchLoss::cross_entropy(&logits, targets, pass)?;
    if let Some(images) = images_to_diagnose {
        loss.require_finite(pass.mode(), || diagnose::first_not_finite(network, images))?;
    }
    Ok(loss)
}

/// Walks back through the tape and updates parameters as soon as their gradients are complete, so that the gradients of
/// all are never held at once, unless they are clipped by their global norm.
fn backward_and_update<B: Backend, M: Parameters<B> + ?Sized>(
    pass: Pass<B>,
    loss: Var<B>,
    module: &mut M,
    optimizer: &mut Optimizer<B>,
    learning_rate: f64,
) -> Result<()> {
    let min_values = if optimizer.needs_all_gradients() { usize::MAX } else { MIN_UPDATE_VALUES };
    let mut step = optimizer.begin(learning_rate)?;
    let mut gradients = HashMap::new();
    let mut values = 0;
    let statistics = pass.backward_each(loss, |parameter, gradient| {
        values += gradient.len();
        gradients.insert(parameter, gradient);
        if values < min_values {
            return Ok(());
        }
        values = 0;
        update(module, &mut step, std::mem::take(&mut gradients))
    })?;
    update(module, &mut step, gradients)?;
    statistics.store(module);
    Ok(())
}

/// Minimum number of values to update in one call, except in the last: each call is a launch on a GPU.
const MIN_UPDATE_VALUES: usize = 8 << 20;

/// Updates the parameters whose gradients are given.
fn update<B: Backend, M: Parameters<B> + ?Sized>(
    module: &mut M,
    step: &mut optim::Step<'_, B>,
    gradients: HashMap<ParameterId, Tensor<B>>,
) -> Result<()> {
    let mut parameters = module.named_parameters_mut();
    let updates = parameters.iter_mut().filter_map(|(name, parameter)| {
        let gradient = gradients.get(&parameter.id())?;
        let spec = &parameter.spec;
        let value = &mut parameter.value;
        Some(Update { name, value, gradient, lr_mult: spec.rate, decay_mult: spec.decay })
    });
    Ok(step.update(updates.collect())?)
}
