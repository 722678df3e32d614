//! Metrics of training steps: read at once, or of many steps together where reading waits for the device.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tensor::{Backend, Element, IntTensor, Tensor, read_all};

use crate::Result;

/// The name of the metric that counts the images whose most probable class is not their label.
pub const WRONG: &str = "wrong";

/// Metrics of one batch; in training, of the weights before its update.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepMetrics {
    /// Mean loss of the batch; for a classification cross-entropy with its targets, in nats.
    pub loss: f64,
    /// Number of examples.
    pub examples: usize,
    /// The other metrics by name, each summed over the examples.
    pub sums: Vec<(String, f64)>,
}

impl StepMetrics {
    /// The metrics of several batches of one step: means over all their examples.
    fn combined(batches: impl Iterator<Item = Self>) -> Option<Self> {
        batches.reduce(|mut all, batch| {
            let examples = all.examples + batch.examples;
            let sum = all.loss * all.examples as f64 + batch.loss * batch.examples as f64;
            all.loss = sum / examples.max(1) as f64;
            all.examples = examples;
            for (name, sum) in batch.sums {
                match all.sums.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known += sum,
                    None => all.sums.push((name, sum)),
                }
            }
            all
        })
    }

    /// The sum of a metric over the examples of the batch.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.sums.iter().find(|(known, _)| known == name).map(|(_, sum)| *sum)
    }

    /// The mean of a metric over the examples of the batch.
    pub fn mean(&self, name: &str) -> Option<f64> {
        self.sum(name).map(|sum| sum / self.examples.max(1) as f64)
    }
}

/// A metric of a batch, on its device, as [`BatchLoss::with_mean`](crate::BatchLoss::with_mean) and
/// [`with_count`](crate::BatchLoss::with_count) add them.
///
/// ```
/// use alexnet_train::BatchLoss;
/// use alexnet_train::layers::Var;
/// use alexnet_train::tensor::{Cpu, IntTensor, Tensor};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let value = |v: f32| Tensor::from_slice(&cpu, &[1], &[v]).map(Var::constant);
/// let late = IntTensor::from_slice(&cpu, &[3])?;
/// let loss = BatchLoss::new(value(0.5)?, 8).with_mean("distance", &value(2.0)?).with_count("late", late);
/// let metrics = loss.metrics().read()?;
/// assert_eq!((metrics.loss, metrics.mean("distance"), metrics.mean("late")), (0.5, Some(2.0), Some(3.0 / 8.0)));
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum Metric<B: Backend> {
    /// The mean over the examples of the batch, one value.
    Mean(Tensor<B>),
    /// The number of examples with a property, one integer.
    Count(IntTensor<B>),
}

/// [`StepMetrics`] that may still be on the device.
#[derive(Clone, Debug)]
pub struct PendingMetrics<B: Backend>(State<B>);

#[derive(Clone, Debug)]
enum State<B: Backend> {
    OnDevice { loss: Tensor<B>, examples: usize, others: Vec<(String, Metric<B>)> },
    Read(StepMetrics),
}

impl<B: Backend> PendingMetrics<B> {
    /// The mean loss of a batch of `examples`, one value on the device.
    pub(crate) fn new(loss: Tensor<B>, examples: usize) -> Self {
        Self(State::OnDevice { loss, examples, others: Vec::new() })
    }

    /// The number of examples.
    pub(crate) fn examples(&self) -> usize {
        match &self.0 {
            State::OnDevice { examples, .. } => *examples,
            State::Read(metrics) => metrics.examples,
        }
    }

    pub(crate) fn push(&mut self, name: String, metric: Metric<B>) {
        if let State::OnDevice { others, .. } = &mut self.0 {
            others.push((name, metric));
        }
    }

    /// Reads the metrics of several steps, in order. It waits for the device once.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read_all(steps: &[&Self]) -> Result<Vec<StepMetrics>> {
        let mut values = Vec::new();
        let mut counts = Vec::new();
        for step in steps {
            let State::OnDevice { loss, others, .. } = &step.0 else { continue };
            values.push(loss);
            for (_, metric) in others {
                match metric {
                    Metric::Mean(value) => values.push(value),
                    Metric::Count(count) => counts.push(count),
                }
            }
        }
        let (values, counts) = read_all(&values, &counts)?;
        let mut values = values.iter().map(|values| single(values).map(|value| value.f64()));
        let mut counts = counts.iter().map(|counts| single(counts).map(|count| f64::from(*count)));
        // There is one of them for each that is asked for here.
        let mut value = || values.next().unwrap_or(Ok(f64::NAN));
        let mut count = || counts.next().unwrap_or(Ok(f64::NAN));
        let mut read = |step: &Self| match &step.0 {
            State::Read(metrics) => Ok(metrics.clone()),
            State::OnDevice { examples, others, .. } => {
                let loss = value()?;
                let mut sum = |metric: &Metric<B>| match metric {
                    Metric::Mean(_) => Ok(value()? * *examples as f64),
                    Metric::Count(_) => count(),
                };
                let sums = others.iter().map(|(name, metric)| Ok((name.clone(), sum(metric)?)));
                Ok(StepMetrics { loss, examples: *examples, sums: sums.collect::<Result<_>>()? })
            }
        };
        steps.iter().map(|step| read(step)).collect()
    }

    /// Reads the metrics. It waits for the device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read(&self) -> Result<StepMetrics> {
        match &self.0 {
            State::Read(metrics) => Ok(metrics.clone()),
            State::OnDevice { .. } => Ok(Self::read_all(&[self])?.remove(0)),
        }
    }

    /// Reads the metrics, unless they are read, and keeps them.
    pub(crate) fn read_once(&mut self) -> Result<&StepMetrics> {
        let metrics = self.read()?;
        self.0 = State::Read(metrics);
        match &self.0 {
            State::Read(metrics) => Ok(metrics),
            State::OnDevice { .. } => unreachable!("set above"),
        }
    }
}

/// The only one of these values.
fn single<T>(values: &[T]) -> Result<&T> {
    match values {
        [value] => Ok(value),
        _ => {
            let expected = "a loss or a metric of one value".to_string();
            Err(tensor::Error::Shape { op: "metrics", expected, got: vec![values.len()] }.into())
        }
    }
}

/// Sums of metrics over the examples of an epoch or of a data set. The means weigh each example alike, whatever the size
/// of its batch.
///
/// ```
/// use alexnet_train::layers::Var;
/// use alexnet_train::tensor::{Cpu, Tensor};
/// use alexnet_train::{BatchLoss, MetricSums};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut sums = MetricSums::default();
/// for (loss, examples) in [(1.0, 3), (5.0, 1)] {
///     let loss = Var::constant(Tensor::from_slice(&cpu, &[1], &[loss])?);
///     sums.add(&BatchLoss::new(loss, examples).metrics().read()?);
/// }
/// assert_eq!((sums.examples, sums.mean_loss()), (4, 2.0));
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricSums {
    /// Examples.
    pub examples: u64,
    /// Sum of the losses of batches, each times the number of its examples.
    pub loss: f64,
    /// The sums of the other metrics by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, f64>,
}

impl MetricSums {
    /// Adds the metrics of a batch.
    pub fn add(&mut self, metrics: &StepMetrics) {
        self.examples += metrics.examples as u64;
        self.loss += metrics.loss * metrics.examples as f64;
        for (name, sum) in &metrics.sums {
            *self.others.entry(name.clone()).or_default() += sum;
        }
    }

    /// The mean loss of an example; 0 if there is none.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.examples.max(1) as f64
    }

    /// The mean of a metric over the examples: for a [`Metric::Count`], the fraction of the examples.
    pub fn mean(&self, name: &str) -> Option<f64> {
        self.others.get(name).map(|sum| sum / self.examples.max(1) as f64)
    }
}

/// When the metrics of steps are read from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricsPolicy {
    /// At each step, before its update: a loss that is not finite changes nothing.
    EachStep,
    /// Of many steps together, so that no step waits for the device: when this many steps are pending or this much time
    /// has passed. A loss that is not finite is found as late.
    Batched {
        /// Maximum number of pending steps.
        steps: usize,
        /// Maximum time between reads.
        within: Duration,
    },
}

impl MetricsPolicy {
    /// The policy for a device: [`EachStep`](Self::EachStep), or, if the device is asynchronous, 32 steps or half a
    /// second.
    pub fn for_device<B: Backend>(device: &B) -> Self {
        if device.is_asynchronous() {
            Self::Batched { steps: 32, within: Duration::from_millis(500) }
        } else {
            Self::EachStep
        }
    }
}

/// A completed step whose metrics have not been reported.
pub(crate) struct CompletedStep<B: Backend> {
    /// Steps completed, with this one.
    pub step: u64,
    pub epoch: u64,
    pub learning_rate: f64,
    /// Those of each of its batches, of which there is at least one.
    pub metrics: Vec<PendingMetrics<B>>,
}

/// The report of a step, when its metrics have been read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The step, from 1.
    pub step: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Examples per second, with loading.
    pub examples_per_s: f64,
    /// The metrics of its batch or, with gradient accumulation, of all its batches, before the update.
    pub metrics: StepMetrics,
}

/// Completed steps whose metrics have not been reported, and the clock of their examples per second.
pub(crate) struct MetricsBuffer<B: Backend> {
    pub policy: MetricsPolicy,
    pending: Vec<CompletedStep<B>>,
    started: Instant,
}

impl<B: Backend> MetricsBuffer<B> {
    pub fn new(policy: MetricsPolicy) -> Self {
        Self { policy, pending: Vec::new(), started: Instant::now() }
    }

    /// Restarts the clock.
    pub fn restart_clock(&mut self) {
        self.started = Instant::now();
    }

    pub fn push(&mut self, step: CompletedStep<B>) {
        self.pending.push(step);
    }

    /// Whether the policy says to read now.
    pub fn is_due(&self) -> bool {
        match self.policy {
            MetricsPolicy::EachStep => !self.pending.is_empty(),
            MetricsPolicy::Batched { steps, within } => {
                self.pending.len() >= steps || (!self.pending.is_empty() && self.started.elapsed() >= within)
            }
        }
    }

    /// Reads all pending metrics, in order. The examples per second of each step are the mean since the last read.
    pub fn read(&mut self) -> Result<Vec<StepReport>> {
        let pending = std::mem::take(&mut self.pending);
        let batches: Vec<&PendingMetrics<B>> = pending.iter().flat_map(|step| &step.metrics).collect();
        let mut batches = PendingMetrics::read_all(&batches)?.into_iter();
        let of_step = |step: &CompletedStep<B>| StepMetrics::combined(batches.by_ref().take(step.metrics.len()));
        let metrics: Vec<StepMetrics> = pending.iter().filter_map(of_step).collect();
        let examples: usize = metrics.iter().map(|metrics| metrics.examples).sum();
        let examples_per_s = examples as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        self.restart_clock();
        let report = |(step, metrics): (CompletedStep<B>, StepMetrics)| StepReport {
            step: step.step,
            epoch: step.epoch,
            learning_rate: step.learning_rate,
            examples_per_s,
            metrics,
        };
        Ok(pending.into_iter().zip(metrics).map(report).collect())
    }
}
