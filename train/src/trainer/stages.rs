//! The stages of a run, between changes of its settings.

use std::sync::Arc;

use data::{CropAndNormalize, Loader, Pack, StageTimes};
use layers::{Model, Network};
use tensor::{Backend, Tensor};

use super::loader_options;
use crate::device_loader::{DeviceBatch, DeviceLoader};
use crate::learner::Batches;
use crate::{Config, Result, Targets, input};

/// A part of a run in which no setting changes.
pub(super) struct Stage {
    /// The epoch after which it begins; 0 for the first.
    at_epoch: f64,
    /// The settings.
    pub config: Config,
    /// The network.
    pub model: Model,
    class_weights: Vec<f32>,
}

/// The stages of a run of a network on a training pack: at least one.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) that names the change at fault.
pub(super) fn stages(config: &Config, model: &Model, pack: &Pack) -> Result<Vec<Stage>> {
    let epochs = config.change.iter().map(|change| change.at_epoch);
    let has_first = config.change.first().is_some_and(|change| change.at_epoch == 0.0);
    let epochs = (!has_first).then_some(0.0).into_iter().chain(epochs);
    let stage = |at_epoch: f64| {
        let own = config.changed_model(model, at_epoch)?;
        let config = config.at_epoch(at_epoch)?;
        input::augment(&config.data)?;
        let class_weights = config.data.class_weights.of(pack)?;
        Ok(Stage { at_epoch, config, model: own, class_weights })
    };
    epochs.map(stage).collect()
}

/// The network with the same weights as `network` and the settings of `model`, which differs in rates and probabilities.
pub(super) fn with_model<B: Backend<Scalar = f32>>(network: &Network<B>, model: &Model) -> Result<Network<B>> {
    let mut changed = Network::new(network.device(), model, 0)?;
    for (to, from) in changed.parameters_mut().iter_mut().zip(network.parameters()) {
        to.value = from.value.clone();
    }
    Ok(changed)
}

/// The batches of a run: each stage has a loader, unless the one before it loads alike.
pub(super) struct StagedLoader<B: Backend> {
    loaders: Vec<DeviceLoader<B>>,
    stages: Vec<LoadedStage>,
    batches_per_epoch: usize,
}

/// The batches of a stage, and their targets.
struct LoadedStage {
    /// Its first batch, counted from the beginning of the run.
    first: u64,
    /// Its loader.
    loader: usize,
    smoothing: f64,
    class_weights: Vec<f32>,
}

/// A batch of a stage.
pub(super) struct StagedBatch<B: Backend> {
    stage: usize,
    batch: DeviceBatch<B>,
}

impl<B: Backend<Scalar = f32>> StagedLoader<B> {
    /// The loader of a run of `model` with these stages, which must not be empty.
    pub fn new(
        device: &B,
        stages: &[Stage],
        model: &Model,
        pack: &Arc<Pack>,
        input: &CropAndNormalize,
    ) -> Result<Self> {
        let mut loaders = Vec::new();
        let mut loaded = Vec::new();
        let mut before: Option<&Stage> = None;
        let mut batches_per_epoch = 1;
        for stage in stages {
            let Stage { config, class_weights, .. } = stage;
            if before.is_none_or(|before| before.config.data != config.data) {
                let loader = Loader::new(Arc::clone(pack), input.clone(), loader_options(config, model)?)?;
                batches_per_epoch = loader.batches_per_epoch();
                loaders.push(DeviceLoader::new(device, loader)?);
            }
            before = Some(stage);
            loaded.push(LoadedStage {
                first: first_batch(stage.at_epoch, batches_per_epoch, config.run.accumulate),
                loader: loaders.len() - 1,
                smoothing: config.data.label_smoothing,
                class_weights: class_weights.clone(),
            });
        }
        Ok(Self { loaders, stages: loaded, batches_per_epoch })
    }

    /// The first batches of the stages, counted from the beginning of the run.
    pub fn firsts(&self) -> Vec<u64> {
        self.stages.iter().map(|stage| stage.first).collect()
    }

    /// The time that the threads of all loaders have spent in each stage of loading so far.
    pub fn stage_times(&self) -> StageTimes {
        self.loaders.iter().fold(StageTimes::default(), |sum, loader| sum.plus(loader.stage_times()))
    }

    /// The network's input and the targets of a batch.
    pub fn input<'a>(&'a self, batch: &'a StagedBatch<B>) -> Result<(Tensor<B>, Targets<'a>)> {
        let StagedBatch { stage, batch } = batch;
        let stage = &self.stages[*stage];
        let images = self.loaders[stage.loader].input(batch)?;
        let LoadedStage { smoothing, class_weights, .. } = stage;
        let targets = Targets { labels: &batch.labels, mixed: &batch.mixed, smoothing: *smoothing, class_weights };
        Ok((images, targets))
    }
}

impl<B: Backend<Scalar = f32>> Batches for StagedLoader<B> {
    type Batch = StagedBatch<B>;

    fn batches_per_epoch(&self) -> usize {
        self.batches_per_epoch
    }

    fn batches(&self, epoch: u64, first: usize) -> impl Iterator<Item = Result<StagedBatch<B>>> {
        let start = epoch * self.batches_per_epoch as u64;
        let end = start + self.batches_per_epoch as u64;
        let of_stage = move |stage: usize| {
            let until = self.stages.get(stage + 1).map_or(end, |next| next.first.min(end));
            let from = self.stages[stage].first.max(start + first as u64);
            let count = until.saturating_sub(from) as usize;
            let loader = &self.loaders[self.stages[stage].loader];
            let batches = (count > 0).then(|| loader.batches(epoch, (from - start) as usize).take(count));
            let staged = move |batch: Result<DeviceBatch<B>>| batch.map(|batch| StagedBatch { stage, batch });
            batches.into_iter().flatten().map(staged)
        };
        (0..self.stages.len()).flat_map(of_stage)
    }
}

/// The first batch of a step that begins when `at_epoch` passes are complete, or later.
fn first_batch(at_epoch: f64, batches_per_epoch: usize, accumulate: usize) -> u64 {
    let per_epoch = batches_per_epoch as u64;
    let epochs = |batch: u64| (batch / per_epoch) as f64 + (batch % per_epoch) as f64 / per_epoch as f64;
    let mut batch = (at_epoch * per_epoch as f64) as u64;
    batch -= batch.min(1);
    while epochs(batch) < at_epoch {
        batch += 1;
    }
    let in_epoch = (batch % per_epoch).next_multiple_of(accumulate as u64).min(per_epoch);
    batch / per_epoch * per_epoch + in_epoch
}

/// A note on the first change that comes after the end of a run of `steps`.
pub(super) fn change_beyond_the_end(steps: u64, config: &Config, batches_per_epoch: usize) -> Option<String> {
    let accumulate = config.run.accumulate;
    let steps_per_epoch = batches_per_epoch.div_ceil(accumulate) as u64;
    let first_step = |at_epoch: f64| {
        let batch = first_batch(at_epoch, batches_per_epoch, accumulate);
        let in_epoch = (batch % batches_per_epoch as u64).div_ceil(accumulate as u64);
        batch / batches_per_epoch as u64 * steps_per_epoch + in_epoch
    };
    let change = config.change.iter().find(|change| first_step(change.at_epoch) >= steps)?;
    let epochs = steps as f64 / steps_per_epoch as f64;
    let what = "never begins, since the run ends after";
    Some(format!("[[change]] at epoch {} {what} run.steps = {steps}, {epochs:.1} epochs", change.at_epoch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::first_batch;

    proptest! {
        /// A stage begins with the first step that is not before its epoch.
        #[test]
        fn stages_begin_with_a_step(at_epoch in 0.0f64..50.0, whole: bool, per_epoch in 1usize..40, accumulate in 1usize..9) {
            let at_epoch = if whole { at_epoch.floor() } else { at_epoch };
            let first = first_batch(at_epoch, per_epoch, accumulate);
            let epochs = |batch: u64| {
                (batch / per_epoch as u64) as f64 + (batch % per_epoch as u64) as f64 / per_epoch as f64
            };
            let steps = (0..52u64).flat_map(|epoch| {
                (0..per_epoch).step_by(accumulate).map(move |batch| epoch * per_epoch as u64 + batch as u64)
            });
            let expected = steps.into_iter().find(|&batch| epochs(batch) >= at_epoch);
            prop_assert_eq!(Some(first), expected);
        }
    }
}
