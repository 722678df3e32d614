//! The loop around [`step`](crate::step::step): epochs, validation, schedule, log and checkpoints.

mod saving;

use std::path::Path;
use std::sync::Arc;

use data::{CropAndNormalize, Loader, LoaderOptions, Pack, Views};
use layers::model::LayerKind;
use layers::{Model, Network};
use optim::{Optimizer, Schedule};
use saving::{LastSave, SavedCheckpoints};
use tensor::Backend;

use crate::checkpoint::{self, Checkpoint, Position};
use crate::config::RunConfig;
use crate::device_loader::{DeviceBatch, DeviceLoader};
use crate::evaluate::{self, evaluate};
use crate::input::{self, PackMeans};
use crate::log::{Log, StepLine, ValidationLine};
use crate::metrics::{CompletedStep, MetricsBuffer, MetricsPolicy};
use crate::run::Run;
use crate::step::{StepOptions, step};
use crate::{Config, Error, Result, Stop, Targets, diagnose, memory};

/// What happened, for whoever watches.
#[derive(Debug)]
pub enum Event<'a> {
    /// All is set up, the first batch is there, and its step begins.
    Begins,
    /// A step is done.
    Step(&'a StepLine),
    /// So many validation images are done.
    Validating(usize),
    /// An epoch was validated.
    Validated(&'a ValidationLine),
    /// A checkpoint was written.
    Saved(&'a Path),
    /// Something that the user should know and that does not end the run.
    Note(String),
}

/// The images of a run.
#[derive(Clone, Debug)]
pub struct Packs {
    /// To train on.
    pub train: Arc<Pack>,
    /// To validate on.
    pub val: Option<Arc<Pack>>,
}

/// A run in progress.
pub struct Trainer<B: Backend<Scalar = f32>> {
    run: Run,
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
    last_save: Option<LastSave>,
    saved: SavedCheckpoints,
    begun: bool,
}

impl<B: Backend<Scalar = f32>> Trainer<B> {
    /// Sets everything up: from `checkpoint` if there is one, else from the beginning.
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
        let mut optimizer = checkpoint::optimizer(&config.optim)?;
        let mut schedule = checkpoint::schedule(&config.optim)?;
        let mut saved = SavedCheckpoints::default();
        let position = match from {
            Some(checkpoint) => {
                checkpoint.check_run(run.folder(), &config, model, &packs)?;
                saved = SavedCheckpoints::resumed(&run, &checkpoint.state)?;
                checkpoint.restore(&mut network, &mut optimizer, &mut schedule)?
            }
            None => {
                run.check_never_saved()?;
                if let Some(weights) = checkpoint::starting_weights(&config.model, model)? {
                    checkpoint::begin_with(&mut network, &config.model, weights.tensors)?;
                }
                Position::default()
            }
        };
        let log = Log::open(&run.folder().join("log.jsonl"), position.step)?;
        let validation_log = Log::open(&run.folder().join("validation.jsonl"), position.validated_step)?;
        Ok(Self {
            run,
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
            last_save: None,
            saved,
            begun: false,
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
    /// [`Error::Setting`] with what is needed and free, and the largest batch that fits.
    pub fn check_memory(device: &B, config: &Config, model: &Model, packs: &Packs) -> Result<()> {
        let evaluation = packs.val.as_ref().map(|val| (val.len(), Views::Centre));
        let work = memory::Work { model, training: Some((packs.train.len(), config)), evaluation };
        memory::check(device, &work, config.run.batch)
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.config.run.steps.unwrap_or(self.config.run.epochs.saturating_mul(self.loader.batches_per_epoch() as u64))
    }

    /// Steps done.
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
        self.run.folder()
    }

    /// Trains to the end of the run and saves. A save that fails on the way is told and passed over; the last one
    /// must succeed.
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
            if self.save_is_due() {
                self.save_on_the_way(on_event)?;
            }
        }
    }

    /// The steps that the current epoch still has.
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
            if batch.is_ok() && !std::mem::replace(&mut self.begun, true) {
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
                self.save_on_the_way(on_event)?;
            }
        }
        self.flush_metrics(on_event)
    }

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

    /// A loss was not finite at `step`, and updates have been made since.
    fn diverged_before(&self, step: u64, loss: f64) -> Result<Error> {
        let now = self.position.step;
        let place = match diagnose::parameter_not_finite(&self.network)? {
            Some(name) => format!("parameter {name} as step {now} left it"),
            None => "the loss".to_string(),
        };
        let stopped = format!("after step {now}, when the numbers of the last steps were read");
        Ok(self.with_checkpoint_hint(Error::diverged(step, loss, place, stopped)))
    }

    /// Validates, tells the schedule, and moves on to the next epoch.
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
            self.saved.observe(self.position.step, line.top1_error);
        }
        self.position.next_epoch();
        Ok(())
    }

    fn note_schedule_without_validation(&self, on_event: &mut dyn FnMut(Event<'_>)) {
        if self.packs.val.is_none() && self.config.optim.schedule == crate::config::ScheduleKind::Plateau {
            let note = "optim.schedule is plateau, which needs --val; without it the rate stays as it is".to_string();
            on_event(Event::Note(note));
        }
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
    })
}

fn validation_options(config: &Config, input: CropAndNormalize) -> evaluate::Options {
    evaluate::Options { input, views: Views::Centre, batch: config.run.batch, threads: config.run.threads }
}
