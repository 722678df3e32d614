//! The trainer of a run: epochs, validation, schedule, log and checkpoints around [`step`](crate::step::step).

mod board;
mod dead_units;
mod event;
mod load_watch;
mod logs;
mod parameter_report;
mod reports;
mod saving;
mod session;
mod stages;
mod start;
mod start_watch;

use std::path::Path;

use data::{CropAndNormalize, LoaderOptions, Views};
use layers::model::LayerKind;
use layers::{Model, Network, Pass};
use logs::Logs;
use reports::Reports;
use session::{Due, Records, Session};
use stages::{StagedBatch, StagedLoader, change_beyond_the_end, stages};
use start::Start;
use tensor::Backend;

use crate::checkpoint::Checkpoint;
use crate::config::{RunConfig, ScheduleKind};
use crate::learner::{Batches, Callback, Ended, Learner};
use crate::metrics::MetricsPolicy;
use crate::packs::{PackMeans, Packs};
use crate::run::Run;
use crate::runs::Outcome;
use crate::step::classify;
use crate::{Config, EarlyStopping, Error, Remedy, Result, Stop, evaluate, input, mean, memory};

pub use event::RunEvent;
pub use session::{NetworkLearner, TRAINING_ERROR, TRAINING_LOSS, VALIDATION_ERROR, VALIDATION_LOSS};

/// A run in progress: a [`Learner`] of a network, on a pack of images, with a folder.
pub struct Trainer<B: Backend<Scalar = f32>> {
    learner: NetworkLearner<B>,
    loader: StagedLoader<B>,
    records: Records,
}

impl<B: Backend<Scalar = f32>> Trainer<B> {
    /// Sets up a run: resumes from a checkpoint, or starts from the beginning.
    ///
    /// # Errors
    /// [`Error::Setting`] where configuration, network and packs do not fit; errors of the parts.
    pub fn new(run: Run, device: &B, model: &Model, packs: Packs, from: Option<Checkpoint>) -> Result<Self> {
        let config = run.config()?;
        let means = match &from {
            // The file of data.mean may have changed since.
            Some(checkpoint) if config.data.mean.is_some() => PackMeans::of_weights(&checkpoint.weights),
            _ => mean::of_run(&config, &model.input, &packs.train)?,
        };
        let input = check_with(&config, model, &packs, &means)?;
        Self::check_memory(device, &config, model, &packs)?;
        let stages = stages(&config, model, &packs.train)?;
        let loader = StagedLoader::new(device, &stages, model, &packs.train, &input)?;
        let validation = packs.val.as_ref().map(|_| validation_options(&config, input));
        let mut learner = learner_of(&config, Network::new(device, model, config.run.seed)?)?;
        let start = match from {
            Some(checkpoint) => {
                let differences = checkpoint.check_run(run.folder(), &config, model, &packs)?;
                Start::resume(run, &config, checkpoint, &differences, &mut learner)?
            }
            None => Start::begin(run, &config, model, &mut learner)?,
        };
        let Start { saver, position, early_stopping, mut notes } = start;
        notes.extend(config.schedule_note());
        if let Some(steps) = config.run.steps {
            notes.extend(change_beyond_the_end(steps, &config, loader.batches_per_epoch()));
        }
        let folder = saver.run().folder();
        let logs = Logs::open(folder, &position)?;
        let labels: Vec<u64> = packs.train.class_counts().iter().map(|count| *count as u64).collect();
        let batches_per_epoch = loader.batches_per_epoch();
        let weights = config.data.class_weights.of(&packs.train)?;
        let reports = Reports::open(folder, &position, batches_per_epoch, &config, model, &labels, &weights)?;
        learner.optimizer.observe_gradients(Some(reports.observer()));
        let validated_step = position.validated_step;
        let records = Records {
            model: model.clone(),
            stages,
            stage: 0,
            firsts: loader.firsts(),
            batches_per_epoch: loader.batches_per_epoch(),
            config,
            packs,
            means,
            validation,
            validated_step,
            logs,
            reports,
            saver,
            has_begun: false,
            early_stopping,
            notes,
            saved: None,
        };
        Ok(Self { learner, loader, records })
    }

    /// Checks that a configuration, a network and packs fit each other, before anything is written.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the setting at fault.
    pub fn check(config: &Config, model: &Model, packs: &Packs) -> Result<CropAndNormalize> {
        check_with(config, model, packs, &mean::of_run(config, &model.input, &packs.train)?)
    }

    /// Sets when the metrics of steps are read; the default is [`MetricsPolicy::for_device`].
    pub fn set_metrics_policy(&mut self, policy: MetricsPolicy) {
        self.learner.set_metrics_policy(policy);
    }

    /// Checks that batches fit into the device's memory, before anything is written.
    ///
    /// # Errors
    /// [`Error::Memory`] with the bytes needed and free, and the largest batch that fits.
    pub fn check_memory(device: &B, config: &Config, model: &Model, packs: &Packs) -> Result<()> {
        memory::check(device, &memory::Workload::of_run(model, config, packs), config.run.batch)
    }

    /// Number of steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.learner.total_steps(self.loader.batches_per_epoch())
    }

    /// Number of steps of an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.loader.batches_per_epoch().div_ceil(self.records.config.run.accumulate) as u64
    }

    /// The settings of the run.
    pub fn config(&self) -> &Config {
        &self.records.config
    }

    /// Number of images of the validation at the end of each epoch; 0 without one.
    pub fn validation_images(&self) -> usize {
        self.records.packs.val.as_ref().map_or(0, |val| val.len())
    }

    /// Number of steps taken.
    pub fn steps_done(&self) -> u64 {
        self.learner.progress().step
    }

    /// The network as trained so far.
    pub fn network(&self) -> &Network<B> {
        &self.learner.module
    }

    /// The network with its optimizer, schedule and position.
    pub fn learner(&self) -> &NetworkLearner<B> {
        &self.learner
    }

    /// The means of the training pack.
    pub fn means(&self) -> &PackMeans {
        &self.records.means
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        self.records.saver.run().folder()
    }

    /// Trains to the end of the run and saves. Errors of periodic saves are reported and do not end the run; the last
    /// save must succeed.
    ///
    /// # Errors
    /// [`Error::Stopped`] after a request to stop, with the checkpoint saved; [`Error::Diverged`] with the last good
    /// checkpoint untouched; errors of the parts.
    pub fn train(&mut self, stop: &Stop, on_event: &mut dyn FnMut(RunEvent<'_>)) -> Result<()> {
        self.train_with(stop, on_event, &mut []).map(|_| ())
    }

    /// Like [`train`](Self::train), with callbacks, which may change the learner and end the run. It is then saved as at
    /// its end, and can be resumed. The errors of each epoch's validation are recorded for them as [`VALIDATION_ERROR`] and
    /// [`VALIDATION_LOSS`].
    ///
    /// # Errors
    /// Those of [`train`](Self::train) and of the callbacks.
    ///
    /// ```
    /// # use alexnet_train::{Result, Stop, tensor::Cpu};
    /// use alexnet_train::EarlyStopping;
    /// use alexnet_train::trainer::{Trainer, VALIDATION_ERROR};
    ///
    /// # fn example(mut trainer: Trainer<Cpu<f32>>) -> Result<()> {
    /// let mut early = EarlyStopping::new(VALIDATION_ERROR, 5);
    /// let ended = trainer.train_with(&Stop::default(), &mut |event| println!("{event:?}"), &mut [&mut early])?;
    /// if let Some(reason) = ended.reason() {
    ///     println!("stopped early: {reason}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn train_with(
        &mut self,
        stop: &Stop,
        on_event: &mut dyn FnMut(RunEvent<'_>),
        callbacks: &mut [&mut dyn Callback<B, Network<B>>],
    ) -> Result<Ended> {
        Outcome::remove(self.folder());
        let ended = self.train_to_the_end(stop, on_event, callbacks);
        if let Err(error) = Outcome::of(&ended).write(self.folder()) {
            on_event(RunEvent::Note(format!("{error}; `runs` cannot tell how this run ended")));
        }
        ended
    }

    fn train_to_the_end(
        &mut self,
        stop: &Stop,
        on_event: &mut dyn FnMut(RunEvent<'_>),
        callbacks: &mut [&mut dyn Callback<B, Network<B>>],
    ) -> Result<Ended> {
        self.note_metric_without_validation(on_event);
        for note in std::mem::take(&mut self.records.notes) {
            on_event(RunEvent::Note(note));
        }
        if let Some(reason) = self.records.early_stopping.as_ref().and_then(EarlyStopping::exhausted) {
            let what = "a larger run.early_stopping lets the run go on";
            on_event(RunEvent::Note(format!("stopped early already: {reason}; {what}")));
            return Ok(Ended::Stopped { reason });
        }
        let total = self.total_steps();
        let Self { learner, loader, records } = self;
        let require_finite_loss = learner.reads_each_step();
        let loss = |network: &Network<B>, batch: StagedBatch<B>, pass: &mut Pass<B>| {
            let (images, targets) = loader.input(&batch)?;
            classify(network, images, targets, pass, require_finite_loss)
        };
        let loading = || loader.stage_times();
        let mut session =
            Session { records, stop, watch: on_event, loading: &loading, total, is_stopped: false, due: Due::No };
        // The run comes last, so that its checkpoints hold what the others changed.
        let mut all: Vec<&mut dyn Callback<B, Network<B>>> = Vec::new();
        for callback in callbacks {
            all.push(&mut **callback);
        }
        all.push(&mut session);
        let ended = learner.fit(&*loader, loss, &mut all);
        let is_stopped = session.is_stopped;
        let records = &mut self.records;
        let hint = |error, records: &Records| records.with_checkpoint_hint(error);
        let ended = ended.map_err(|error| hint(error, records))?;
        let saved = records.save_at_the_end(&mut self.learner, on_event).map_err(|error| hint(error, records))?;
        if is_stopped {
            return Err(Error::Stopped { signal: stop.signal(), saved: Some(saved) });
        }
        if let Some(reason) = ended.reason() {
            on_event(RunEvent::Note(format!("stopped early: {reason}")));
        }
        Ok(ended)
    }

    fn note_metric_without_validation(&self, on_event: &mut dyn FnMut(RunEvent<'_>)) {
        let Records { config, packs, .. } = &self.records;
        if packs.val.is_some() || !config.run.monitor.needs_validation() {
            return;
        }
        let needs = "needs a validation pack (data.val) or another run.monitor, such as training-loss; without it";
        if config.optim.schedule == ScheduleKind::Plateau {
            let what = format!("optim.schedule is plateau, which {needs} the rate stays as it is");
            on_event(RunEvent::Note(what));
        }
        if config.run.early_stopping > 0 {
            let what = format!("run.early_stopping {needs} the run does not end early");
            on_event(RunEvent::Note(what));
        }
    }
}

/// The learner of a run, at its start.
fn learner_of<B: Backend<Scalar = f32>>(config: &Config, network: Network<B>) -> Result<NetworkLearner<B>> {
    let learner = Learner::new(network, config.optim.optimizer()?)?
        .schedule(config.optim.schedule()?)
        .learning_rate(config.optim.lr)
        .seed(config.run.seed)
        .epochs(config.run.epochs)
        .accumulate(config.run.accumulate)
        .read_metrics_every(config.run.checkpoint_steps);
    Ok(match config.run.steps {
        Some(steps) => learner.steps(steps),
        None => learner,
    })
}

/// [`Trainer::check`] with these means.
fn check_with(config: &Config, model: &Model, packs: &Packs, means: &PackMeans) -> Result<CropAndNormalize> {
    if config.run.batch > packs.train.len() {
        let what = format!("must be at most the {} images of the pack, got {}", packs.train.len(), config.run.batch);
        let remedy = Remedy::BatchSize { default: RunConfig::default().batch };
        return Err(Error::setting("run.batch", what).with_remedy(remedy));
    }
    if let Some(val) = &packs.val {
        input::check_classes("data.val", packs.train.classes(), val.classes())?;
        if val.size() != packs.train.size() {
            let what =
                format!("its images have {} pixels a side, those of the training {}", val.size(), packs.train.size());
            return Err(Error::setting("data.val", what));
        }
    }
    config.model.check_frozen(model)?;
    stages(config, model, &packs.train)?;
    input::crop_and_normalize(&model.input, means, packs.train.size())
}

pub(crate) fn loader_options(config: &Config, model: &Model) -> Result<LoaderOptions> {
    let is_norm = |kind: &LayerKind| matches!(kind, LayerKind::BatchNorm(norm) if !norm.frozen);
    let batch_norm = model.layers.iter().any(|layer| is_norm(&layer.kind));
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

pub(crate) fn validation_options(config: &Config, input: CropAndNormalize) -> evaluate::Options {
    evaluate::Options { input, views: Views::Centre, batch: config.run.batch, threads: config.run.threads }
}
