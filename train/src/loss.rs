//! The loss of a batch, with its metrics.

use layers::{Mode, Pass, Var};
use tensor::{Backend, Element, IntTensor, Tensor};

use crate::metrics::{Metric, PendingMetrics, WRONG};
use crate::{Error, Result, Targets};

/// The loss of a batch on the tape of its pass, and metrics beside it. A function that makes one of a module, a batch and
/// a pass is all that [`step_with`](crate::step::step_with) and [`Learner::fit`](crate::Learner::fit) need of a task.
///
/// ```
/// use alexnet_train::BatchLoss;
/// use alexnet_train::layers::{Mode, Pass, Var};
/// use alexnet_train::tensor::{Cpu, Tensor};
///
/// // Mean squared error of three values, and their mean beside it.
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut pass = Pass::new(Mode::Test);
/// let difference = Var::constant(Tensor::from_slice(&cpu, &[3], &[1.0, 2.0, 3.0])?);
/// let squares = pass.tape.multiply(&difference, &difference)?;
/// let mean_square = pass.tape.mean(&squares)?;
/// let mean = pass.tape.mean(&difference)?;
/// let loss = BatchLoss::new(mean_square, 3).with_mean("difference", &mean);
/// assert_eq!(loss.metrics().read()?.mean("difference"), Some(2.0));
/// # Ok::<(), alexnet_train::Error>(())
/// ```
pub struct BatchLoss<B: Backend> {
    value: Var<B>,
    metrics: PendingMetrics<B>,
}

impl<B: Backend> BatchLoss<B> {
    /// A loss, one value: the mean over the `examples` of a batch.
    pub fn new(value: Var<B>, examples: usize) -> Self {
        let metrics = PendingMetrics::new(value.value().clone(), examples);
        Self { value, metrics }
    }

    /// The cross-entropy of logits `[n, classes]` with their targets, in nats, and the number of [`WRONG`] predictions.
    ///
    /// # Errors
    /// Those of the operations: a label outside the classes, another number of labels than rows.
    pub fn cross_entropy<'a>(logits: &Var<B>, targets: impl Into<Targets<'a>>, pass: &mut Pass<B>) -> Result<Self> {
        let targets = targets.into();
        let device = logits.value().device();
        let labels = IntTensor::from_slice(device, targets.labels)?;
        let classes = logits.shape().last().copied().unwrap_or(0);
        let wrong = logits.value().rank_of_label(&labels)?.count_ge(1)?;
        if let Some(weighted) = targets.weighted(classes) {
            let loss = weighted_cross_entropy(logits, &weighted, pass)?;
            return Ok(Self::new(loss, targets.labels.len()).with_count(WRONG, wrong));
        }
        let loss = match targets.onehot_minus_targets(classes) {
            Some(difference) => {
                let shape = [targets.labels.len(), classes];
                let difference: Vec<B::Scalar> = difference.iter().map(|&v| Element::of(f64::from(v))).collect();
                let difference = Tensor::from_slice(device, &shape, &difference)?;
                pass.tape.soft_cross_entropy(logits, &labels, &difference)?
            }
            None => pass.tape.cross_entropy(logits, &labels)?,
        };
        Ok(Self::new(loss, targets.labels.len()).with_count(WRONG, wrong))
    }

    /// The loss with a metric beside it: a mean over the examples, one value.
    pub fn with_mean(mut self, name: impl Into<String>, value: &Var<B>) -> Self {
        self.metrics.push(name.into(), Metric::Mean(value.value().clone()));
        self
    }

    /// The loss with a metric beside it: the number of examples with a property, one integer.
    pub fn with_count(mut self, name: impl Into<String>, count: IntTensor<B>) -> Self {
        self.metrics.push(name.into(), Metric::Count(count));
        self
    }

    /// The metrics, which may still be on the device.
    pub fn metrics(&self) -> &PendingMetrics<B> {
        &self.metrics
    }

    /// Waits for the loss.
    ///
    /// # Errors
    /// [`Error::Diverged`] if it is not finite, first seen in the place that `locate` finds.
    pub(crate) fn require_finite(&mut self, mode: Mode, locate: impl FnOnce() -> Result<String>) -> Result<()> {
        let loss = self.metrics.read_once()?.loss;
        if loss.is_finite() {
            return Ok(());
        }
        let step = if let Mode::Train { step, .. } = mode { step + 1 } else { 0 };
        Err(Error::diverged(step, loss, locate()?, "before the update"))
    }

    pub(crate) fn into_parts(self) -> (Var<B>, PendingMetrics<B>) {
        (self.value, self.metrics)
    }
}

/// The mean over the images of -sum(weighted target * log softmax), for targets `[n, classes]`. As in PyTorch's loss of
/// probabilities, it is divided by the number of images, not by their weights.
fn weighted_cross_entropy<B: Backend>(logits: &Var<B>, targets: &[f32], pass: &mut Pass<B>) -> Result<Var<B>> {
    let targets: Vec<B::Scalar> = targets.iter().map(|&v| Element::of(f64::from(v))).collect();
    let targets = Var::constant(Tensor::from_slice(logits.value().device(), logits.shape(), &targets)?);
    let log = pass.tape.log_softmax(logits)?;
    let products = pass.tape.multiply(&log, &targets)?;
    let sum = pass.tape.sum(&products)?;
    let images = logits.shape().first().copied().unwrap_or(1).max(1);
    Ok(pass.tape.scale(&sum, -1.0 / images as f64)?)
}
