//! The work of a run beside its steps: logs, validation, checkpoints.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use data::{Pack, StageTimes};
use layers::{Model, Network};
use tensor::Backend;

use super::RunEvent;
use super::logs::Logs;
use super::reports::Reports;
use super::saving::CheckpointSaver;
use super::stages::{Stage, with_model};
use crate::checkpoint::{self, RunState};
use crate::config::keys;
use crate::evaluate::{self, Evaluation, evaluate};
use crate::learner::{Callback, EpochReport, Event, Learner};
use crate::log::{LastWeights, ValidationLine};
use crate::metrics::StepReport;
use crate::packs::{PackMeans, Packs};
use crate::position::Position;
use crate::snapshot::Snapshot;
use crate::{Config, EarlyStopping, Error, Result, Stop, WeightAverage, diagnose};

/// The value of each epoch's validation that a run [records](Learner::record) for callbacks: the top-1 error.
pub const VALIDATION_ERROR: &str = "validation top-1 error";
/// The value of each epoch's validation that a run [records](Learner::record) for callbacks: the mean loss.
pub const VALIDATION_LOSS: &str = "validation loss";
/// The value of each epoch that a run [records](Learner::record) for callbacks: the training top-1 error, as a fraction.
pub const TRAINING_ERROR: &str = "training top-1 error";
/// The value of each epoch that a run [records](Learner::record) for callbacks: the mean training loss.
pub const TRAINING_LOSS: &str = "training loss";

/// The network of a run, with its optimizer.
pub type NetworkLearner<B> = Learner<B, Network<B>>;

/// The files of a run, and what they record.
pub(super) struct Records {
    /// The network as the run began.
    pub model: Model,
    pub stages: Vec<Stage>,
    /// The stage that the learner is in.
    pub stage: usize,
    /// The first batch of each stage, counted from the beginning of the run.
    pub firsts: Vec<u64>,
    pub batches_per_epoch: usize,
    pub config: Config,
    pub packs: Packs,
    pub means: PackMeans,
    pub validation: Option<evaluate::Options>,
    pub validated_step: u64,
    pub logs: Logs,
    pub reports: Reports,
    pub saver: CheckpointSaver,
    /// Whether the first step has begun.
    pub has_begun: bool,
    /// Ends the run when the monitored metric stops improving.
    pub early_stopping: Option<EarlyStopping>,
    /// Notes for the user before the first step.
    pub notes: Vec<String>,
    /// The position and the rate factor of the last checkpoint.
    pub saved: Option<(Position, f64)>,
}

/// The callback of a run.
pub(super) struct Session<'a> {
    pub records: &'a mut Records,
    pub stop: &'a Stop,
    pub watch: &'a mut dyn FnMut(RunEvent<'_>),
    /// The loader's times so far.
    pub loading: &'a dyn Fn() -> StageTimes,
    /// Steps of the whole run.
    pub total: u64,
    /// Whether the stop ended the run.
    pub is_stopped: bool,
    /// Why a checkpoint follows the current step.
    pub due: Due,
}

/// The reason for a checkpoint after the current step, besides the number of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Due {
    /// There is none.
    #[default]
    No,
    /// The time since the last one has passed.
    Time,
    /// It was requested, and the user is told where it is.
    Request,
}

impl<B: Backend<Scalar = f32>> Callback<B, Network<B>> for Session<'_> {
    fn on_event(&mut self, event: Event<'_>, learner: &mut NetworkLearner<B>) -> Result<ControlFlow<String>> {
        let is_last = learner.progress().step >= self.total;
        match event {
            Event::StepBegins => {
                if self.stop.is_requested() {
                    return Ok(self.end());
                }
                let batch = self.records.batch_of(learner);
                self.records.enter_stage(learner, batch, self.watch)?;
                if !std::mem::replace(&mut self.records.has_begun, true) {
                    (self.watch)(RunEvent::Begins);
                }
                self.records.logs.step_begins();
                self.records.reports.step_begins(learner)?;
                // On a device that computes behind, the logs are read before the checkpoint that they belong to.
                if !learner.reads_each_step() {
                    self.due = self.due_now();
                    if self.due != Due::No {
                        learner.read_metrics_after_this_step();
                    }
                }
            }
            Event::Step(report) => self.records.append(report, self.watch),
            Event::StepEnds => {
                let note = self.records.logs.step_ends(self.loading);
                self.records.reports.notes.extend(note);
                self.records.reports.step_ends(learner)?;
                self.records.show_notes(self.watch);
                let due = if learner.reads_each_step() { self.due_now() } else { std::mem::take(&mut self.due) };
                if !is_last && (due != Due::No || self.records.saver.is_due_at_step(learner.progress().step)) {
                    let saved = self.records.save_periodically(learner, self.watch)?;
                    if let Some(path) = saved.filter(|_| due == Due::Request) {
                        (self.watch)(RunEvent::Note(format!("saved in {}, as requested", path.display())));
                    }
                }
            }
            Event::EpochEnds(report) => match self.records.end_epoch(report, learner, self.stop, self.watch) {
                Err(Error::Stopped { .. }) => return Ok(self.end()),
                other => other?,
            },
            Event::Epoch(_) => {
                let progress = learner.progress();
                if !is_last && self.records.saver.is_due_at_epoch(progress.step, progress.epoch) {
                    self.records.save_periodically(learner, self.watch)?;
                }
                let exhausted = self.records.early_stopping.as_ref().and_then(EarlyStopping::exhausted);
                if let Some(reason) = exhausted.filter(|_| !is_last) {
                    return Ok(ControlFlow::Break(reason));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Session<'_> {
    fn due_now(&self) -> Due {
        if self.stop.take_save_request() {
            return Due::Request;
        }
        if self.records.saver.is_time() { Due::Time } else { Due::No }
    }

    fn end(&mut self) -> ControlFlow<String> {
        self.is_stopped = true;
        ControlFlow::Break("stopped on request".into())
    }
}

impl Records {
    /// Writes a step to the log.
    fn append(&mut self, report: &StepReport, watch: &mut dyn FnMut(RunEvent<'_>)) {
        let (line, note) = self.logs.append_step(report);
        if let Some(note) = note {
            watch(RunEvent::Note(note));
        }
        watch(RunEvent::Step(&line));
        self.reports.step(&line);
        self.show_notes(watch);
    }

    /// The next batch, counted from the beginning of the run.
    fn batch_of<B: Backend>(&self, learner: &NetworkLearner<B>) -> u64 {
        let progress = learner.progress();
        progress.epoch * self.batches_per_epoch as u64 + progress.batch as u64
    }

    /// Changes settings, if this batch is in another stage than the one before it, or if the run resumes.
    fn enter_stage<B: Backend<Scalar = f32>>(
        &mut self,
        learner: &mut NetworkLearner<B>,
        batch: u64,
        watch: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<()> {
        let now = self.firsts.iter().rposition(|first| *first <= batch).unwrap_or(0);
        if now == self.stage && self.has_begun {
            return Ok(());
        }
        let Stage { config, model, .. } = &self.stages[now];
        config.optim.change_optimizer(&mut learner.optimizer)?;
        learner.learning_rate = config.optim.lr;
        if learner.module.model().to_toml() != model.to_toml() {
            learner.module = with_model(&learner.module, model)?;
        }
        if now != self.stage {
            let changes = keys::differences(&self.stages[self.stage].config.to_table(), &config.to_table());
            let changes: Vec<String> =
                changes.iter().map(|(setting, _, new)| format!("{} = {new}", setting.key)).collect();
            let epoch = batch as f64 / self.batches_per_epoch as f64;
            watch(RunEvent::Note(format!("after {epoch:.2} epochs, by [[change]]: {}", changes.join(", "))));
        }
        self.stage = now;
        Ok(())
    }

    fn show_notes(&mut self, watch: &mut dyn FnMut(RunEvent<'_>)) {
        self.reports.notes.drain(..).for_each(|note| watch(RunEvent::Note(note)));
    }

    /// Ends an epoch: validates it, writes its metrics, and gives the monitored one to all that depends on it.
    fn end_epoch<B: Backend<Scalar = f32>>(
        &mut self,
        report: &EpochReport,
        learner: &mut NetworkLearner<B>,
        stop: &Stop,
        watch: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<()> {
        // If the run resumes here, the network is to validate as its last step left it.
        let last = self.batch_of(learner).saturating_sub(1);
        self.enter_stage(learner, last, watch)?;
        let epoch = self.logs.epoch_line(report);
        watch(RunEvent::EpochTrained(&epoch));
        let position = Position::of(learner.progress(), self.validated_step);
        let training = position.training_metrics();
        let validation = self.validate(learner, &position, stop, watch)?;
        let line = validation.as_ref().map(|(_, line)| line);
        self.reports.notes.extend(self.logs.append_epoch(&epoch, line));
        self.reports.epoch(&epoch, line);
        self.show_notes(watch);
        let [loss, top1_error] = training;
        learner.record(TRAINING_LOSS, loss);
        learner.record(TRAINING_ERROR, top1_error);
        let monitor = self.config.run.monitor;
        let result = validation.as_ref().map(|(result, _)| result);
        let Some(value) = monitor.value(training, result) else { return Ok(()) };
        learner.schedule.observe(value);
        self.saver.observe(position.step, monitor, value);
        if let Some(early) = &mut self.early_stopping {
            // Whether it is exhausted is asked when the epoch is complete.
            let _ = early.observe(value);
        }
        Ok(())
    }

    /// Validates, if there is a validation pack: the moving average of the weights, if there is one, and the last weights.
    fn validate<B: Backend<Scalar = f32>>(
        &mut self,
        learner: &mut NetworkLearner<B>,
        position: &Position,
        stop: &Stop,
        watch: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<Option<(Evaluation, ValidationLine)>> {
        let (Some(val), Some(options)) = (&self.packs.val, &self.validation) else { return Ok(None) };
        let mut test = |network: &Network<B>| {
            let result = evaluate(network, val, options, stop, |done| watch(RunEvent::Validating(done)));
            result.map_err(|error| diverged_in_validation(error, network, position.step))
        };
        let last = test(&learner.module)?;
        let (result, last) = match learner.with_average(test).transpose()? {
            Some(average) => (average, Some(last)),
            None => (last, None),
        };
        let mut line = position.validation_line(&result, self.logs.seconds());
        line.last_weights = last.map(|last| LastWeights::of(&last));
        if let Some(note) = self.logs.append_validation(&line) {
            watch(RunEvent::Note(note));
        }
        watch(RunEvent::Validated(&line));
        learner.record(VALIDATION_ERROR, line.top1_error);
        learner.record(VALIDATION_LOSS, line.loss);
        self.validated_step = position.step;
        Ok(Some((result, line)))
    }

    /// Saves, unless the last checkpoint is that of this state.
    fn save<B: Backend<Scalar = f32>>(
        &mut self,
        learner: &mut NetworkLearner<B>,
        watch: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<PathBuf> {
        // A loss that is not finite must be known before anything takes the place of the last good checkpoint.
        learner.read_metrics()?;
        let started = Instant::now();
        let position = Position::of(learner.progress(), self.validated_step);
        let saved = Some((position.clone(), learner.rate_factor));
        if self.saved == saved {
            return Ok(self.saver.run().checkpoint_path(position.step));
        }
        if let Some(name) = diagnose::parameter_not_finite(&learner.module)? {
            let place = format!("parameter {name}");
            return Err(Error::diverged(position.step, f64::NAN, place, "before saving"));
        }
        let state = self.state(learner, position);
        let average = learner.average.as_ref();
        let Self { packs, means, .. } = self;
        let snapshot = Snapshot::of(&learner.module, &learner.optimizer, average, state, packs, means)?;
        // A killed run goes on from here, and its points before are not written again.
        self.reports.flush();
        // A change belongs to the time, not to the network: a resumed run makes it again.
        let path = self.saver.save(&snapshot.with_model(&self.model), started, watch)?;
        self.saved = saved;
        Ok(path)
    }

    /// Saves at the end of a run, with a second attempt: all steps since the previous checkpoint depend on it.
    pub fn save_at_the_end<B: Backend<Scalar = f32>>(
        &mut self,
        learner: &mut NetworkLearner<B>,
        watch: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<PathBuf> {
        let error = match self.save(learner, watch) {
            Err(error) if !matches!(error, Error::Diverged { .. }) => error,
            other => return other,
        };
        watch(RunEvent::Note(format!("{error}; trying once more")));
        self.save(learner, watch)
            .map_err(|error| Error::Unsaved { source: Box::new(error), kept: self.saver.checkpoint_hint() })
    }

    /// Saves during a run, and returns the file. An error is reported and does not end the run, unless the weights are not
    /// finite.
    fn save_periodically<B: Backend<Scalar = f32>>(
        &mut self,
        learner: &mut NetworkLearner<B>,
        watch: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<Option<PathBuf>> {
        match self.save(learner, watch) {
            Err(error @ Error::Diverged { .. }) => Err(error),
            Err(error) => {
                watch(RunEvent::Note(format!("{error}; training continues")));
                Ok(None)
            }
            Ok(path) => Ok(Some(path)),
        }
    }

    fn state<B: Backend>(&self, learner: &NetworkLearner<B>, position: Position) -> RunState {
        RunState {
            version: checkpoint::VERSION,
            train_fingerprint: self.packs.train.fingerprint().to_string(),
            train_images: Some(self.packs.train.len() as u64),
            val_fingerprint: self.packs.val.as_deref().map_or("", Pack::fingerprint).to_string(),
            optimizer_steps: learner.optimizer.steps(),
            average_updates: learner.average.as_ref().map_or(0, WeightAverage::updates),
            best: self.saver.best_with(position.step).cloned(),
            position,
            schedule: learner.schedule.state().clone(),
            rate_factor: learner.rate_factor,
            early_stopping: self.early_stopping.clone(),
            config: self.config.clone(),
        }
    }

    /// Adds the checkpoint to resume from to the error of a diverged run.
    pub fn with_checkpoint_hint(&self, error: Error) -> Error {
        let Error::Diverged { step, loss, place, stopped, .. } = error else { return error };
        Error::Diverged { step, loss, place, stopped, kept: self.saver.checkpoint_hint() }
    }
}

/// The error of a validation: outputs that are not numbers are those of a diverged run.
fn diverged_in_validation<B: Backend<Scalar = f32>>(error: Error, network: &Network<B>, step: u64) -> Error {
    let Error::NotFinite { .. } = error else { return error };
    match diagnose::place_of_loss(network) {
        Ok(place) => Error::diverged(step, f64::NAN, place, "in validation"),
        Err(error) => error,
    }
}
