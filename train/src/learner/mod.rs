//! Training of any module, on batches of any source, with any loss.

mod average;
mod batches;
mod callback;
mod early_stopping;
mod progress;
mod steps;

use std::collections::VecDeque;
use std::ops::ControlFlow;

use layers::{Mode, Parameters, Pass};
use optim::{Optimizer, Schedule, ScheduleRule};
use tensor::Backend;

use crate::loop_checkpoint::LoopCheckpoint;
use crate::loss::BatchLoss;
use crate::metrics::{MetricSums, MetricsBuffer, MetricsPolicy, StepReport};
use crate::step::Accumulation;
use crate::{Error, Result, diagnose};

pub use average::WeightAverage;
pub use batches::{Batches, BatchesFromFn, batches_from_fn};
pub use callback::{Callback, Ended, EpochReport, Event, OnEvent, Reply, on_event};
pub use early_stopping::EarlyStopping;
pub use progress::Progress;

/// A module in training, with its optimizer, its learning rate and its position.
///
/// [`fit`](Self::fit) takes the steps. The [run-folder trainer](crate::trainer::Trainer) is built on it.
///
/// ```
/// use alexnet_train::layers::{Model, Module, Network, Pass, Var};
/// use alexnet_train::optim::{Optimizer, Sgd};
/// use alexnet_train::tensor::{Cpu, Tensor};
/// use alexnet_train::{BatchLoss, Learner, batches_from_fn, on_event};
///
/// // Grey images: lighter and darker ones are to be told apart.
/// let cpu = Cpu::<f32>::new(1)?;
/// let batches = batches_from_fn(4, |_, batch| Ok(batch as f32 / 3.0));
/// let loss = |network: &Network<Cpu<f32>>, grey: f32, pass: &mut Pass<Cpu<f32>>| {
///     let images = Var::constant(Tensor::full(&cpu, &[1, 32, 32, 3], f64::from(grey))?);
///     let logits = network.forward(&images, pass)?;
///     BatchLoss::cross_entropy(&logits, &[u32::from(grey > 0.5)], pass)
/// };
/// let network = Network::new(&cpu, &Model::preset("linear")?, 1)?;
/// let mut learner = Learner::new(network, Optimizer::new(Sgd::default())?)?.learning_rate(1e-4).epochs(3);
/// learner.fit(&batches, loss, &mut [&mut on_event(|event, _| println!("{event:?}"))])?;
/// assert_eq!(learner.progress().step, 12);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
pub struct Learner<B: Backend, M> {
    /// The module.
    pub module: M,
    /// The optimizer.
    pub optimizer: Optimizer<B>,
    /// The schedule of the learning rate.
    pub schedule: Schedule,
    /// Multiplies the learning rate of the schedule; 1 at first. Callbacks may change it. It is saved in checkpoints.
    pub rate_factor: f64,
    /// The moving average of the weights, if there is one. It is saved in checkpoints.
    pub average: Option<WeightAverage<B>>,
    pub(crate) learning_rate: f64,
    seed: u64,
    epochs: u64,
    steps: Option<u64>,
    /// Batches per step.
    accumulate: usize,
    pub(crate) progress: Progress,
    metrics: MetricsBuffer<B>,
    /// Metrics are read at multiples of this step, whatever the policy; 0: they are not.
    read_every: u64,
    /// Whether metrics are also read after this step.
    read_next: bool,
    /// Reports of steps that callbacks have not seen.
    unreported: VecDeque<StepReport>,
    /// The reason of a callback to end the training.
    stopped: Option<String>,
}

impl<B: Backend, M: Parameters<B>> Learner<B, M> {
    /// A learner at the start of one epoch, with a learning rate of 0.01, a constant schedule and seed 1.
    ///
    /// # Errors
    /// [`Error::Optim`], which does not happen with a constant schedule.
    pub fn new(module: M, optimizer: Optimizer<B>) -> Result<Self> {
        let policy = match module.named_parameters().first() {
            Some((_, parameter)) => MetricsPolicy::for_device(parameter.value.device()),
            None => MetricsPolicy::EachStep,
        };
        Ok(Self {
            module,
            optimizer,
            schedule: Schedule::new(ScheduleRule::Constant)?,
            rate_factor: 1.0,
            average: None,
            learning_rate: 0.01,
            seed: 1,
            epochs: 1,
            steps: None,
            accumulate: 1,
            progress: Progress::default(),
            metrics: MetricsBuffer::new(policy),
            read_every: 0,
            read_next: false,
            unreported: VecDeque::new(),
            stopped: None,
        })
    }

    /// The same with this learning rate, which the schedule multiplies.
    pub fn learning_rate(self, learning_rate: f64) -> Self {
        Self { learning_rate, ..self }
    }

    /// The same with this schedule of the learning rate.
    pub fn schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// The same for this number of epochs in all.
    pub fn epochs(self, epochs: u64) -> Self {
        Self { epochs, steps: None, ..self }
    }

    /// The same for this number of steps in all.
    pub fn steps(self, steps: u64) -> Self {
        Self { steps: Some(steps), ..self }
    }

    /// The same with this seed of the dropout masks.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same with this number of batches per step, at least 1, as if they were one ([`Accumulation`]). The last step of
    /// an epoch has those that are left. A step is an update: progress, reports and checkpoints count it once.
    pub fn accumulate(self, batches: usize) -> Self {
        Self { accumulate: batches.max(1), ..self }
    }

    /// The same with a moving average of the weights.
    pub fn average(self, average: Option<WeightAverage<B>>) -> Self {
        Self { average, ..self }
    }

    /// The same with metrics read by this policy; the default is [`MetricsPolicy::for_device`].
    pub fn metrics_policy(mut self, policy: MetricsPolicy) -> Self {
        self.set_metrics_policy(policy);
        self
    }

    /// Sets when the metrics of steps are read.
    pub fn set_metrics_policy(&mut self, policy: MetricsPolicy) {
        self.metrics.policy = policy;
    }

    /// Metrics are also read after each multiple of `steps`.
    pub(crate) fn read_metrics_every(self, steps: u64) -> Self {
        Self { read_every: steps, ..self }
    }

    /// Metrics are also read after the step that begins: a checkpoint follows it, and the logs are to be complete.
    pub(crate) fn read_metrics_after_this_step(&mut self) {
        self.read_next = true;
    }

    /// Whether the metrics of each step are read before its update.
    pub(crate) fn reads_each_step(&self) -> bool {
        self.metrics.policy == MetricsPolicy::EachStep
    }

    /// Takes the remaining steps. A callback is called at each [`Event`]; several see it in their order.
    ///
    /// `loss` runs the module forward on a batch. For an exact resume it may depend on nothing but its arguments.
    ///
    /// # Errors
    /// [`Error::Diverged`] for a loss that is not finite; [`Error::Setting`] for a source without batches; those of the
    /// source, the loss, the optimizer and the callbacks.
    pub fn fit<D: Batches>(
        &mut self,
        data: &D,
        mut loss: impl FnMut(&M, D::Batch, &mut Pass<B>) -> Result<BatchLoss<B>>,
        callbacks: &mut [&mut dyn Callback<B, M>],
    ) -> Result<Ended> {
        let batches_per_epoch = data.batches_per_epoch();
        if batches_per_epoch == 0 {
            return Err(callback::no_batches());
        }
        let total = self.total_steps(batches_per_epoch);
        self.stopped = None;
        loop {
            if self.progress.step < total {
                self.epoch(data, total, &mut loss, callbacks)?;
            }
            if self.stopped.is_none() && self.progress.batch == batches_per_epoch {
                self.end_epoch(callbacks)?;
            }
            if let Some(reason) = self.stopped.take() {
                return Ok(Ended::Stopped { reason });
            }
            if self.progress.step >= total {
                return Ok(Ended::Finished);
            }
        }
    }

    /// Takes the remaining steps of the current epoch. On return, all steps are reported.
    fn epoch<D: Batches>(
        &mut self,
        data: &D,
        total: u64,
        loss: &mut impl FnMut(&M, D::Batch, &mut Pass<B>) -> Result<BatchLoss<B>>,
        callbacks: &mut [&mut dyn Callback<B, M>],
    ) -> Result<()> {
        let batches_per_epoch = data.batches_per_epoch();
        let batches = data.batches(self.progress.epoch, self.progress.batch);
        self.metrics.restart_clock();
        let mut gathered = Accumulation::new();
        for batch in batches {
            if batch.is_ok() && gathered.batches() == 0 {
                self.dispatch(Event::StepBegins, callbacks)?;
            }
            if self.stopped.is_some() {
                break;
            }
            let result = batch.and_then(|batch| self.take_batch(batch, batches_per_epoch, &mut gathered, loss));
            if matches!(result, Ok(false)) {
                continue;
            }
            // Even after an error, the steps before it are reported.
            if result.is_err() || self.metrics.is_due() || self.is_time_to_read() {
                self.report(callbacks)?;
            }
            result?;
            self.dispatch(Event::StepEnds, callbacks)?;
            if self.stopped.is_some() || self.progress.step >= total {
                break;
            }
        }
        self.report(callbacks)
    }

    fn is_time_to_read(&self) -> bool {
        self.read_next || (self.read_every > 0 && self.progress.step.is_multiple_of(self.read_every))
    }

    /// Moves on to the next epoch.
    fn end_epoch(&mut self, callbacks: &mut [&mut dyn Callback<B, M>]) -> Result<()> {
        let report = EpochReport {
            epoch: self.progress.epoch + 1,
            step: self.progress.step,
            metrics: self.progress.metrics.clone(),
        };
        self.dispatch(Event::EpochEnds(&report), callbacks)?;
        if self.stopped.is_some() {
            return Ok(());
        }
        self.progress.next_epoch();
        self.dispatch(Event::Epoch(&report), callbacks)
    }

    /// Reads the metrics of all steps so far, and adds them to those of the epoch. Callbacks see their reports afterwards.
    ///
    /// # Errors
    /// [`Error::Diverged`] for a loss that is not finite, after which updates were made; those of the device.
    pub fn read_metrics(&mut self) -> Result<()> {
        for report in self.metrics.read()? {
            if !report.metrics.loss.is_finite() {
                return Err(self.diverged_before(report.step, report.metrics.loss)?);
            }
            self.progress.metrics.add(&report.metrics);
            self.unreported.push_back(report);
        }
        Ok(())
    }

    /// The error of a loss that was not finite at `step`, after which updates were made.
    fn diverged_before(&self, step: u64, loss: f64) -> Result<Error> {
        let now = self.progress.step;
        let place = match diagnose::parameter_not_finite(&self.module)? {
            Some(name) => format!("parameter {name} as step {now} left it"),
            None => "the loss".to_string(),
        };
        let stopped = format!("after step {now}, when the numbers of the last steps were read");
        Ok(Error::diverged(step, loss, place, stopped))
    }

    /// Reads all metrics and passes the reports of their steps to the callbacks, those before an error too.
    fn report(&mut self, callbacks: &mut [&mut dyn Callback<B, M>]) -> Result<()> {
        self.read_next = false;
        let read = self.read_metrics();
        while let Some(report) = self.unreported.pop_front() {
            self.dispatch(Event::Step(&report), callbacks)?;
        }
        read
    }

    /// Calls all callbacks. The first reason to stop is kept.
    fn dispatch(&mut self, event: Event<'_>, callbacks: &mut [&mut dyn Callback<B, M>]) -> Result<()> {
        for callback in callbacks {
            if let ControlFlow::Break(reason) = callback.on_event(event, self)? {
                self.stopped.get_or_insert(reason);
            }
        }
        Ok(())
    }

    /// The means of loss and metrics over an epoch of a source, in test mode.
    ///
    /// # Errors
    /// Those of [`evaluate_with`].
    pub fn evaluate<D: Batches>(
        &self,
        data: &D,
        loss: impl FnMut(&M, D::Batch, &mut Pass<B>) -> Result<BatchLoss<B>>,
    ) -> Result<MetricSums> {
        evaluate_with(&self.module, data, loss)
    }
}

impl<B: Backend, M> Learner<B, M> {
    /// The position.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Number of steps of the whole training, given the batches of an epoch.
    pub fn total_steps(&self, batches_per_epoch: usize) -> u64 {
        self.steps.unwrap_or(self.epochs.saturating_mul(batches_per_epoch.div_ceil(self.accumulate) as u64))
    }

    /// Records a value, such as a validation error, for other callbacks and for checkpoints. A later one of the same name
    /// replaces it.
    pub fn record(&mut self, name: &str, value: f64) {
        self.progress.recorded.insert(name.into(), value);
    }

    /// The newest value that was recorded under a name.
    pub fn recorded(&self, name: &str) -> Option<f64> {
        self.progress.recorded.get(name).copied()
    }
}

impl<B: Backend<Scalar = f32>, M: Parameters<B>> Learner<B, M> {
    /// A checkpoint of the module, the optimizer, the schedule and the position. Its steps so far are read.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a loss or a parameter is not finite; those of the device.
    pub fn checkpoint(&mut self) -> Result<LoopCheckpoint> {
        self.read_metrics()?;
        if let Some(name) = diagnose::parameter_not_finite(&self.module)? {
            return Err(Error::diverged(self.progress.step, f64::NAN, format!("parameter {name}"), "before saving"));
        }
        let checkpoint = LoopCheckpoint::new().with_module("", &self.module)?.with_optimizer("", &self.optimizer)?;
        let checkpoint = checkpoint.with_schedule(&self.schedule, self.rate_factor).with_progress(&self.progress);
        match &self.average {
            Some(average) => checkpoint.with_average(average),
            None => Ok(checkpoint),
        }
    }

    /// Continues from a checkpoint of [`checkpoint`](Self::checkpoint). The result has the same bits as a training that
    /// was never interrupted, if the module, the settings and the batches are the same.
    ///
    /// # Errors
    /// [`Error::Layers`] or [`Error::Optim`] if the checkpoint is of another module or optimizer.
    pub fn restore(&mut self, checkpoint: &LoopCheckpoint) -> Result<()> {
        checkpoint.restore_module("", &mut self.module)?;
        if let Some((_, parameter)) = self.module.named_parameters().first() {
            let device = parameter.value.device().clone();
            checkpoint.restore_optimizer("", &device, &mut self.optimizer)?;
        }
        if let Some(average) = &mut self.average {
            checkpoint.restore_average(average)?;
        }
        self.rate_factor = checkpoint.restore_schedule(&mut self.schedule)?;
        self.progress = checkpoint.progress().clone();
        Ok(())
    }
}

/// The sums of loss and metrics of a module over an epoch of a source, in test mode.
///
/// # Errors
/// Those of the source, the loss and the device.
pub fn evaluate_with<B: Backend, M, D: Batches>(
    module: &M,
    data: &D,
    mut loss: impl FnMut(&M, D::Batch, &mut Pass<B>) -> Result<BatchLoss<B>>,
) -> Result<MetricSums> {
    let mut sums = MetricSums::default();
    for batch in data.batches(0, 0) {
        let mut pass = Pass::new(Mode::Test);
        sums.add(&loss(module, batch?, &mut pass)?.metrics().read()?);
    }
    Ok(sums)
}
