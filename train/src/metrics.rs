//! Metrics of training steps: read at once, or of many steps together where reading waits for the device.

use std::time::{Duration, Instant};

use tensor::{Backend, Element, IntTensor, Tensor, read_all};

use crate::Result;
use crate::log::StepLine;

/// Metrics of one training step, of the weights before its update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepMetrics {
    /// Mean cross-entropy of the batch with its targets, in nats.
    pub loss: f64,
    /// Number of images whose most probable class was not their label.
    pub wrong: usize,
}

/// [`StepMetrics`] that may still be on the device.
#[derive(Clone, Debug)]
pub enum PendingMetrics<B: Backend> {
    /// Not read yet.
    OnDevice {
        /// The loss, a scalar.
        loss: Tensor<B>,
        /// The number of wrong images, one integer.
        wrong: IntTensor<B>,
    },
    /// Already read.
    Read(StepMetrics),
}

impl<B: Backend> PendingMetrics<B> {
    /// Reads the metrics of several steps, in order. It waits for the device once.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read_all(steps: &[&Self]) -> Result<Vec<StepMetrics>> {
        let mut losses = Vec::new();
        let mut wrong = Vec::new();
        for step in steps {
            if let Self::OnDevice { loss, wrong: count } = step {
                losses.push(loss);
                wrong.push(count);
            }
        }
        let (losses, wrong) = read_all(&losses, &wrong)?;
        let pairs = losses.into_iter().flatten().zip(wrong.into_iter().flatten());
        let mut read = pairs.map(|(loss, wrong)| StepMetrics { loss: loss.f64(), wrong: wrong as usize });
        let metrics = steps.iter().filter_map(|step| match step {
            Self::OnDevice { .. } => read.next(),
            Self::Read(metrics) => Some(*metrics),
        });
        Ok(metrics.collect())
    }

    /// Reads the metrics. It waits for the device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read(&self) -> Result<StepMetrics> {
        match self {
            Self::OnDevice { loss, wrong } => {
                let (losses, wrong) = read_all(&[loss], &[wrong])?;
                Ok(StepMetrics { loss: losses[0][0].f64(), wrong: wrong[0][0] as usize })
            }
            Self::Read(metrics) => Ok(*metrics),
        }
    }
}

/// When the metrics of steps are read from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Images in its batch.
    pub images: usize,
    pub metrics: PendingMetrics<B>,
}

/// The report of a step: its line of the log, and its part in the sums of the epoch.
pub(crate) struct StepReport {
    pub line: StepLine,
    pub metrics: StepMetrics,
    pub images: usize,
}

/// Completed steps whose metrics have not been reported, and the clock of their images per second.
pub(crate) struct MetricsBuffer<B: Backend> {
    pub policy: MetricsPolicy,
    pending: Vec<CompletedStep<B>>,
    started: Instant,
}

impl<B: Backend<Scalar = f32>> MetricsBuffer<B> {
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

    /// Reads all pending metrics, in order. The images per second of each step are the mean since the last read.
    pub fn read(&mut self) -> Result<Vec<StepReport>> {
        let pending = std::mem::take(&mut self.pending);
        let metrics: Vec<&PendingMetrics<B>> = pending.iter().map(|step| &step.metrics).collect();
        let metrics = PendingMetrics::read_all(&metrics)?;
        let images: usize = pending.iter().map(|step| step.images).sum();
        let images_per_s = images as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        self.restart_clock();
        let report = |(step, metrics): (CompletedStep<B>, StepMetrics)| {
            let line = StepLine {
                step: step.step,
                epoch: step.epoch,
                loss: metrics.loss,
                top1_error: metrics.wrong as f64 / step.images.max(1) as f64,
                rate: step.learning_rate,
                images_per_s,
            };
            StepReport { line, metrics, images: step.images }
        };
        Ok(pending.into_iter().zip(metrics).map(report).collect())
    }
}
