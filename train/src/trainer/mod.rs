//! The loop around [`step`]: epochs, validation, schedule, log and checkpoints.

mod event;
mod saving;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use data::{CropAndNormalize, Loader, LoaderOptions, Pack, Views};
use layers::model::LayerKind;
use layers::{Model, Network};
use optim::{Optimizer, Schedule};
use saving::CheckpointSaver;
use tensor::Backend;

use crate::checkpoint::{self, Checkpoint, RunState};
use crate::config::{RunConfig, ScheduleKind};
use crate::device_loader::{DeviceBatch, DeviceLoader};
use crate::evaluate::{self, evaluate};
use crate::log::Log;
use crate::metrics::{CompletedStep, MetricsBuffer, MetricsPolicy};
use crate::packs::{PackMeans, Packs};
use crate::position::Position;
use crate::run::Run;
use crate::starting_weights::StartingWeights;
use crate::step::{StepOptions, step};
use crate::{Config, Error, Result, Stop, Targets, diagnose, input, memory};

pub use event::Event;

/// A run in progress.
pub struct Trainer<B: Backend<Scalar = f32>> {
    config: Config,
    network: Network<B>,
    optimizer: Optimizer<B>,
    schedule: Schedule,
    packs: Packs,
    means: PackMeans,
    loader: DeviceLoader<B>,
    validation: Option<evaluate::Options>,
    position: Position,
    metrics: MetricsBuffer<B>,
    log: Log,
    validation_log: Log,
    saver: CheckpointSaver,
    /// Whether the first step has begun.
    has_begun: bool,
}

impl<B: Backend<Scalar = f32>> Trainer<B> {
    /// Sets up a run: resumes from a checkpoint, or starts from the beginning.
    ///
    /// # Errors
    /// [`Error::Setting`] where configuration, network and packs do not fit; errors of the parts.
    pub fn new(run: Run, device: &B, model: &Model, packs: Packs, from: Option<Checkpoint>) -> Result<Self> {
        let config = run.config()?;
        let input = Self::check(&config, model, &packs)?;
        Self::check_memory(device, &config, model, &packs)?;
        let means = PackMeans::of(&packs.train);
        let loader = Loader::new(Arc::clone(&packs.train), input.clone(), loader_options(&config, model)?)?;
        let loader = DeviceLoader::new(device, loader)?;
        let validation = packs.val.as_ref().map(|_| validation_options(&config, input));
        let mut network = Network::new(device, model, config.run.seed)?;
        let mut optimizer = config.optim.optimizer()?;
        let mut schedule = config.optim.schedule()?;
        let folder = run.folder().to_path_buf();
        let keep = config.run.keep_checkpoints;
        let (saver, position) = match from {
            Some(checkpoint) => {
                checkpoint.check_run(&folder, &config, model, &packs)?;
                let saver = CheckpointSaver::resume(run, keep, &checkpoint.state)?;
                (saver, checkpoint.restore(&mut network, &mut optimizer, &mut schedule)?)
            }
            None => {
                run.check_never_saved()?;
                if let Some(weights) = StartingWeights::load(&config.model, model)? {
                    weights.apply_to(&mut network, &config.model)?;
                }
                (CheckpointSaver::new(run, keep), Position::default())
            }
        };
        let log = Log::open(&folder.join("log.jsonl"), position.step)?;
        let validation_log = Log::open(&folder.join("validation.jsonl"), position.validated_step)?;
        Ok(Self {
            config,
            network,
            optimizer,
            schedule,
            packs,
            means,
            loader,
            validation,
            position,
            metrics: MetricsBuffer::new(MetricsPolicy::for_device(device)),
            log,
            validation_log,
            saver,
            has_begun: false,
        })
    }

    /// Checks that a configuration, a network and packs fit each other, before anything is written.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the setting at fault.
    pub fn check(config: &Config, model: &Model, packs: &Packs) -> Result<CropAndNormalize> {
        if config.run.batch > packs.train.len() {
            let what = format!(
                "must be at most the {} images of the pack, got {}; give --batch (without it, it is the network's or {})",
                packs.train.len(),
                config.run.batch,
                RunConfig::default().batch
            );
            return Err(Error::setting("run.batch", what));
        }
        if let Some(val) = &packs.val {
            input::check_classes("--val", packs.train.classes(), val.classes())?;
            if val.size() != packs.train.size() {
                let what =
                    format!("its images have {} pixels a side, those of --data {}", val.size(), packs.train.size());
                return Err(Error::setting("--val", what));
            }
        }
        input::augment(&config.data)?;
        input::crop_and_normalize(&model.input, &PackMeans::of(&packs.train), packs.train.size())
    }

    /// Sets when the metrics of steps are read; the default is [`MetricsPolicy::for_device`].
    pub fn set_metrics_policy(&mut self, policy: MetricsPolicy) {
        self.metrics.policy = policy;
    }

    /// Checks that batches fit into the device's memory, before anything is written.
    ///
    /// # Errors
    /// [`Error::Setting`] with the bytes needed and free, and the largest batch that fits.
    pub fn check_memory(device: &B, config: &Config, model: &Model, packs: &Packs) -> Result<()> {
        let evaluation = packs.val.as_ref().map(|val| (val.len(), Views::Centre));
        let work = memory::Workload { model, training: Some((packs.train.len(), config)), evaluation };
        memory::check(device, &work, config.run.batch)
    }

    /// Number of steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.config.run.steps.unwrap_or(self.config.run.epochs.saturating_mul(self.loader.batches_per_epoch() as u64))
    }

    /// Number of steps taken.
    pub fn steps_done(&self) -> u64 {
        self.position.step
    }

    /// The network as trained so far.
    pub fn network(&self) -> &Network<B> {
        &self.network
    }

    /// The means of the training pack.
    pub fn means(&self) -> &PackMeans {
        &self.means
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        self.saver.run().folder()
    }

    /// Trains to the end of the run and saves. Errors of periodic saves are reported and do not end the run; the last
    /// save must succeed.
    ///
    /// # Errors
    /// [`Error::Stopped`] after a signal, with the checkpoint saved; [`Error::Diverged`] with the last good checkpoint
    /// untouched; errors of the parts.
    pub fn train(&mut self, stop: &Stop, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.note_schedule_without_validation(on_event);
        loop {
            self.epoch(stop, on_event)?;
            if self.position.batch == self.loader.batches_per_epoch() {
                match self.end_epoch(stop, on_event) {
                    Err(Error::Stopped { signal, .. }) => return self.save_and_stop(signal, on_event),
                    other => other?,
                }
            }
            if self.position.step >= self.total_steps() {
                return self.save_at_the_end(on_event).map(|_| ());
            }
            if self.saver.is_due(self.position.step) {
                self.save_periodically(on_event)?;
            }
        }
    }

    /// Takes the remaining steps of the current epoch.
    fn epoch(&mut self, stop: &Stop, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if self.position.step >= self.total_steps() {
            return Ok(());
        }
        let batches = self.loader.batches(self.position.epoch, self.position.batch);
        self.metrics.restart_clock();
        for batch in batches {
            if let Some(signal) = stop.requested() {
                return self.save_and_stop(signal, on_event);
            }
            if batch.is_ok() && !std::mem::replace(&mut self.has_begun, true) {
                on_event(Event::Begins);
            }
            let result = batch.and_then(|batch| self.step(&batch));
            // Even after an error, the steps before it are reported.
            if result.is_err() || self.metrics.is_due() {
                self.flush_metrics(on_event)?;
            }
            result?;
            if self.position.step >= self.total_steps() {
                break;
            }
            let every = self.config.run.checkpoint_steps;
            if every > 0 && self.position.step.is_multiple_of(every) {
                self.save_periodically(on_event)?;
            }
        }
        self.flush_metrics(on_event)
    }

    /// Takes a step on one batch.
    fn step(&mut self, batch: &DeviceBatch<B>) -> Result<()> {
        let epochs = self.position.epoch as f64 + self.position.batch as f64 / self.loader.batches_per_epoch() as f64;
        let options = StepOptions {
            seed: self.config.run.seed,
            step: self.position.step,
            learning_rate: self.schedule.rate(self.config.optim.lr, epochs),
            require_finite_loss: self.metrics.policy == MetricsPolicy::EachStep,
        };
        let smoothing = self.config.data.label_smoothing;
        let targets = Targets { labels: &batch.labels, mixed: &batch.mixed, smoothing };
        let images = self.loader.input(batch)?;
        let metrics = step(&mut self.network, &mut self.optimizer, images, targets, options)
            .map_err(|error| self.with_checkpoint_hint(error))?;
        self.position.advance();
        self.metrics.push(CompletedStep {
            step: self.position.step,
            epoch: self.position.epoch,
            learning_rate: options.learning_rate,
            images: batch.labels.len(),
            metrics,
        });
        Ok(())
    }

    /// Reports the metrics of the steps since the last report: to the log, to the sums of the epoch, and as events.
    fn flush_metrics(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        for report in self.metrics.read()? {
            if !report.metrics.loss.is_finite() {
                return Err(self.diverged_before(report.line.step, report.metrics.loss)?);
            }
            self.position.add(report.metrics, report.images);
            if let Some(note) = self.log.append(&report.line) {
                on_event(Event::Note(note));
            }
            on_event(Event::Step(&report.line));
        }
        Ok(())
    }

    /// The error of a loss that was not finite at `step`, after which updates were made.
    fn diverged_before(&self, step: u64, loss: f64) -> Result<Error> {
        let now = self.position.step;
        let place = match diagnose::parameter_not_finite(&self.network)? {
            Some(name) => format!("parameter {name} as step {now} left it"),
            None => "the loss".to_string(),
        };
        let stopped = format!("after step {now}, when the numbers of the last steps were read");
        Ok(self.with_checkpoint_hint(Error::diverged(step, loss, place, stopped)))
    }

    /// Validates, adjusts the schedule, and moves on to the next epoch.
    fn end_epoch(&mut self, stop: &Stop, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if let (Some(val), Some(options)) = (&self.packs.val, &self.validation) {
            let result = evaluate(&self.network, val, options, stop, |done| on_event(Event::Validating(done)))?;
            let line = self.position.validation_line(&result);
            self.schedule.observe(result.top1_error);
            if let Some(note) = self.validation_log.append(&line) {
                on_event(Event::Note(note));
            }
            on_event(Event::Validated(&line));
            self.position.validated_step = self.position.step;
            self.saver.observe(self.position.step, line.top1_error);
        }
        self.position.next_epoch();
        Ok(())
    }

    fn note_schedule_without_validation(&self, on_event: &mut dyn FnMut(Event<'_>)) {
        if self.packs.val.is_none() && self.config.optim.schedule == ScheduleKind::Plateau {
            let note = "optim.schedule is plateau, which needs --val; without it the rate stays as it is".to_string();
            on_event(Event::Note(note));
        }
    }

    fn save(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf> {
        // A loss that is not finite must be known before anything takes the place of the last good checkpoint.
        self.flush_metrics(on_event)?;
        let started = Instant::now();
        if let Some(name) = diagnose::parameter_not_finite(&self.network)? {
            let place = format!("parameter {name}");
            let error = Error::diverged(self.position.step, f64::NAN, place, "before saving");
            return Err(self.with_checkpoint_hint(error));
        }
        let checkpoint = Checkpoint::of(&self.network, &self.optimizer, self.state(), &self.packs, &self.means)?;
        self.saver.save(&checkpoint, started, on_event)
    }

    /// Saves at the end of a run, with a second attempt: all steps since the previous checkpoint depend on it.
    fn save_at_the_end(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf> {
        let error = match self.save(on_event) {
            Err(error) if !matches!(error, Error::Diverged { .. }) => error,
            other => return other,
        };
        on_event(Event::Note(format!("{error}; trying once more")));
        self.save(on_event)
            .map_err(|error| Error::Unsaved { source: Box::new(error), kept: self.saver.checkpoint_hint() })
    }

    /// Saves during a run: an error is reported and does not end the run, unless the weights are not finite.
    fn save_periodically(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        match self.save(on_event) {
            Err(error @ Error::Diverged { .. }) => Err(error),
            Err(error) => {
                on_event(Event::Note(format!("{error}; training continues")));
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    fn save_and_stop(&mut self, signal: usize, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let saved = Some(self.save_at_the_end(on_event)?);
        Err(Error::Stopped { signal, saved })
    }

    fn state(&self) -> RunState {
        RunState {
            version: checkpoint::VERSION,
            train_fingerprint: self.packs.train.fingerprint().to_string(),
            val_fingerprint: self.packs.val.as_deref().map_or("", Pack::fingerprint).to_string(),
            optimizer_steps: self.optimizer.steps(),
            position: self.position.clone(),
            schedule: self.schedule.state().clone(),
            best: self.saver.best_with(self.position.step).cloned(),
            config: self.config.clone(),
        }
    }

    /// Adds the checkpoint to resume from to the error of a diverged run.
    fn with_checkpoint_hint(&self, error: Error) -> Error {
        let Error::Diverged { step, loss, place, stopped, .. } = error else { return error };
        Error::Diverged { step, loss, place, stopped, kept: self.saver.checkpoint_hint() }
    }
}

pub(crate) fn loader_options(config: &Config, model: &Model) -> Result<LoaderOptions> {
    let batch_norm = model.layers.iter().any(|layer| matches!(layer.kind, LayerKind::BatchNorm { .. }));
    Ok(LoaderOptions {
        batch: config.run.batch,
        seed: config.run.seed,
        shuffle: config.data.order(),
        // A last batch of one image has no variance to normalise by.
        drop_last: batch_norm,
        threads: config.run.threads,
        prefetch_bytes: config.data.prefetch_bytes,
        augment: input::augment(&config.data)?,
        views: Views::Centre,
        ..LoaderOptions::default()
    })
}

fn validation_options(config: &Config, input: CropAndNormalize) -> evaluate::Options {
    evaluate::Options { input, views: Views::Centre, batch: config.run.batch, threads: config.run.threads }
}
