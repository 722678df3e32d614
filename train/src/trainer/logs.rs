//! The logs of a run, and the times in them.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use data::StageTimes;

use super::load_watch::LoadWatch;
use crate::Result;
use crate::learner::EpochReport;
use crate::log::{Clock, EpochLine, Log, MetricsCsv, StepLine, ValidationLine, read_steps};
use crate::metrics::{StepReport, WRONG};
use crate::position::Position;

/// The logs of a run.
pub(super) struct Logs {
    steps: Log,
    validations: Log,
    epochs: MetricsCsv,
    clock: Clock,
    /// The times that steps waited whose reports have not come.
    waits: VecDeque<Duration>,
    /// The end of the last step, or the start of the epoch's first one in this session.
    step_ended: Option<Instant>,
    /// The time that the last step waited.
    waited: Duration,
    load_watch: LoadWatch,
    /// Since the last epoch ended in this session.
    epoch: EpochTimes,
    /// The learning rate of the last step.
    rate: f64,
    /// The images per second of the last step.
    images_per_s: f64,
}

#[derive(Default)]
struct EpochTimes {
    training: Duration,
    waiting: Duration,
    images: u64,
}

impl Logs {
    /// Opens the logs of a run, without their lines after `position`.
    pub fn open(folder: &Path, position: &Position) -> Result<Self> {
        let path = folder.join("log.jsonl");
        let steps = Log::open(&path, position.step)?;
        let last = read_steps(&path)?.pop();
        Ok(Self {
            steps,
            validations: Log::open(&folder.join("validation.jsonl"), position.validated_step)?,
            epochs: MetricsCsv::open(&folder.join("metrics.csv"), position.epoch)?,
            clock: Clock::resume(last.as_ref()),
            waits: VecDeque::new(),
            step_ended: None,
            waited: Duration::ZERO,
            load_watch: LoadWatch::default(),
            epoch: EpochTimes::default(),
            rate: last.as_ref().map_or(f64::NAN, |line| line.rate),
            images_per_s: last.map_or(f64::NAN, |line| line.images_per_s),
        })
    }

    /// Seconds of training since the run began.
    pub fn seconds(&self) -> f64 {
        self.clock.seconds()
    }

    /// A step begins: its images have been loaded since the last one.
    pub fn step_begins(&mut self) {
        // The first batch of a session is not waited for by a step that could have computed meanwhile.
        let waited = self.step_ended.map_or(Duration::ZERO, |ended| ended.elapsed());
        self.epoch.training += waited;
        self.epoch.waiting += waited;
        self.waits.push_back(waited);
        self.waited = waited;
        self.step_ended = Some(Instant::now());
    }

    /// A step was taken; `stages` are the loader's times so far. Returns a message for the user if the loader is too slow.
    pub fn step_ends(&mut self, stages: impl Fn() -> StageTimes) -> Option<String> {
        let now = Instant::now();
        let step = self.step_ended.map_or(Duration::ZERO, |began| now - began);
        self.epoch.training += step;
        self.step_ended = Some(now);
        self.load_watch.observe(self.waited, step, stages)
    }

    /// Writes a step. Returns its line, and a message for the user if it cannot be written for the first time.
    pub fn append_step(&mut self, report: &StepReport) -> (StepLine, Option<String>) {
        self.epoch.images += report.metrics.examples as u64;
        self.rate = report.learning_rate;
        self.images_per_s = report.examples_per_s;
        let wait = self.waits.pop_front().unwrap_or_default();
        let line = StepLine {
            step: report.step,
            epoch: report.epoch + 1,
            loss: report.metrics.loss,
            top1_error: report.metrics.mean(WRONG).unwrap_or(f64::NAN),
            rate: report.learning_rate,
            images_per_s: report.examples_per_s,
            wait_s: (wait.as_secs_f64() * 1e6).round() / 1e6,
            seconds: self.clock.seconds(),
            time: Clock::now(),
        };
        let note = self.steps.append(&line);
        (line, note)
    }

    /// The line of an epoch whose steps were all taken. It begins the times of the next one.
    pub fn epoch_line(&mut self, report: &EpochReport) -> EpochLine {
        let EpochTimes { training, waiting, images } = std::mem::take(&mut self.epoch);
        self.step_ended = None;
        let seconds = training.as_secs_f64().max(1e-9);
        EpochLine {
            epoch: report.epoch,
            step: report.step,
            train_loss: report.metrics.mean_loss(),
            train_top1_error: report.metrics.mean(WRONG).unwrap_or(f64::NAN),
            rate: self.rate,
            // Steps of an earlier session alone: a run that was stopped in the validation.
            images_per_s: if images == 0 { self.images_per_s } else { images as f64 / seconds },
            wait_share: waiting.as_secs_f64() / seconds,
            seconds: self.clock.seconds(),
            time: Clock::now(),
        }
    }

    /// Writes a validation. Returns a message for the user if it cannot be written for the first time.
    pub fn append_validation(&mut self, line: &ValidationLine) -> Option<String> {
        self.validations.append(line)
    }

    /// Writes the metrics of an epoch. Returns a message for the user if they cannot be written for the first time.
    pub fn append_epoch(&mut self, epoch: &EpochLine, validation: Option<&ValidationLine>) -> Option<String> {
        self.epochs.append(epoch, validation)
    }
}
