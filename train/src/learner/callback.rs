//! Callbacks of a learner.

use std::ops::ControlFlow;

use tensor::Backend;

use super::Learner;
use crate::metrics::{MetricSums, StepReport};
use crate::{Error, Result};

/// A moment in a training.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A batch has been loaded, and its step begins.
    StepBegins,
    /// The metrics of a step were read: right after it, or with those of later steps
    /// ([`MetricsPolicy`](crate::MetricsPolicy)).
    Step(&'a StepReport),
    /// A step was taken, and the position is that after it.
    StepEnds,
    /// All batches of an epoch are used, and the position is still in this epoch: a training that stops here, or resumes
    /// from a checkpoint made here, begins with this event again.
    EpochEnds(&'a EpochReport),
    /// An epoch is complete, and the position is the start of the next one.
    Epoch(&'a EpochReport),
}

/// The report of an epoch.
///
/// ```
/// # use alexnet_train::{Event, Learner, layers::Network, on_event, tensor::Cpu};
/// // A line an epoch, as a callback of `Learner::fit`.
/// let mut log = on_event(|event, _: &mut Learner<Cpu<f32>, Network<Cpu<f32>>>| {
///     if let Event::Epoch(report) = event {
///         println!("epoch {}, step {}: loss {:.4}", report.epoch, report.step, report.metrics.mean_loss());
///     }
/// });
/// # let _: &mut dyn alexnet_train::Callback<Cpu<f32>, Network<Cpu<f32>>> = &mut log;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EpochReport {
    /// Epochs completed, with this one.
    pub epoch: u64,
    /// Steps taken.
    pub step: u64,
    /// Sums of the metrics of its steps, each before its update.
    pub metrics: MetricSums,
}

/// A part of a training beside its steps: a log, an evaluation, a schedule of one's own, checkpoints, early stopping.
///
/// A callback may change the learner: its module, its learning rate, its schedule. The training ends after a callback
/// breaks, with the reason that it gives. A closure is one by [`on_event`].
pub trait Callback<B: Backend, M> {
    /// Takes part in an event.
    ///
    /// # Errors
    /// An error ends the training. Those of other crates are [`Error::other`].
    fn on_event(&mut self, event: Event<'_>, learner: &mut Learner<B, M>) -> Result<ControlFlow<String>>;
}

/// The values that the closure of [`on_event`] may return: nothing, whether to go on, or either of them or an error.
pub trait Reply {
    /// Whether to go on; if not, the reason.
    ///
    /// # Errors
    /// The error that the closure returned.
    fn into_flow(self) -> Result<ControlFlow<String>>;
}

impl Reply for () {
    fn into_flow(self) -> Result<ControlFlow<String>> {
        Ok(ControlFlow::Continue(()))
    }
}

impl Reply for ControlFlow<String> {
    fn into_flow(self) -> Result<ControlFlow<String>> {
        Ok(self)
    }
}

impl<R: Reply> Reply for Result<R> {
    fn into_flow(self) -> Result<ControlFlow<String>> {
        self?.into_flow()
    }
}

/// A callback from a closure.
#[derive(Clone, Copy, Debug)]
pub struct OnEvent<F>(F);

/// The callback that calls `f` with each event and the learner. What `f` may return is listed at [`Reply`].
///
/// ```
/// # use alexnet_train::{Event, Learner, Result, layers::Network, on_event, tensor::Cpu};
/// # type Digits = Network<Cpu<f32>>;
/// let mut log = on_event(|event, learner: &mut Learner<Cpu<f32>, Digits>| {
///     if let Event::Epoch(report) = event {
///         println!("epoch {}: loss {:.4}", report.epoch, report.metrics.mean_loss());
///         learner.rate_factor *= 0.5;
///     }
/// });
/// # let _: &mut dyn alexnet_train::Callback<Cpu<f32>, Digits> = &mut log;
/// ```
pub fn on_event<B, M, R, F>(f: F) -> OnEvent<F>
where
    B: Backend,
    R: Reply,
    F: FnMut(Event<'_>, &mut Learner<B, M>) -> R,
{
    OnEvent(f)
}

impl<B, M, R, F> Callback<B, M> for OnEvent<F>
where
    B: Backend,
    R: Reply,
    F: FnMut(Event<'_>, &mut Learner<B, M>) -> R,
{
    fn on_event(&mut self, event: Event<'_>, learner: &mut Learner<B, M>) -> Result<ControlFlow<String>> {
        (self.0)(event, learner).into_flow()
    }
}

impl<B: Backend, M, C: Callback<B, M> + ?Sized> Callback<B, M> for &mut C {
    fn on_event(&mut self, event: Event<'_>, learner: &mut Learner<B, M>) -> Result<ControlFlow<String>> {
        (**self).on_event(event, learner)
    }
}

impl<B: Backend, M, C: Callback<B, M> + ?Sized> Callback<B, M> for Box<C> {
    fn on_event(&mut self, event: Event<'_>, learner: &mut Learner<B, M>) -> Result<ControlFlow<String>> {
        (**self).on_event(event, learner)
    }
}

/// The end of a training that did not fail.
///
/// ```
/// use alexnet_train::Ended;
///
/// let ended = Ended::Stopped { reason: "the validation error has not improved for 5 epochs".into() };
/// match &ended {
///     Ended::Finished => println!("all steps were taken"),
///     Ended::Stopped { reason } => println!("stopped early: {reason}"),
///     _ => {}
/// }
/// assert!(ended.reason().unwrap().contains("5 epochs"));
/// assert_eq!(Ended::Finished.reason(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// All steps were taken.
    Finished,
    /// A callback ended it.
    Stopped {
        /// The reason that the callback gave.
        reason: String,
    },
}

impl Ended {
    /// The reason of a callback, if one ended the training.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Finished => None,
            Self::Stopped { reason } => Some(reason),
        }
    }
}

/// The error of a source without batches.
pub(super) fn no_batches() -> Error {
    Error::setting("batches", "there are none in an epoch; the source must have at least one")
}
