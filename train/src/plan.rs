//! The plan of a run before its first step: its length, and what it takes of time, memory and disk.

use std::sync::Arc;

use data::Loader;
use layers::Model;
use serde::Serialize;
use tensor::Backend;

use crate::memory::{self, Workload};
use crate::starting_weights::StartingWeights;
use crate::trainer::{Trainer, loader_options, validation_options};
use crate::{Config, Packs, Result, Stop, bench, evaluate};

/// The plan of a run. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Training images.
    pub images: usize,
    /// Validation images, if there are any.
    pub val_images: Option<usize>,
    /// Images per step: those of a batch times `run.accumulate`.
    pub images_per_step: usize,
    /// Steps per epoch.
    pub steps_per_epoch: usize,
    /// Steps of the run.
    pub steps: u64,
    /// Images per second of steps on synthetic images that are on the device, without loading.
    pub images_per_s: f64,
    /// Images per second of the loader alone.
    pub loader_images_per_s: f64,
    /// Time of all steps at these rates.
    pub training_s: f64,
    /// Time of all validations, measured in the same way.
    pub validation_s: f64,
    /// Predicted peak of the memory in bytes.
    pub memory_bytes: u64,
    /// Free memory in bytes, if the device reports it.
    pub free_bytes: Option<u64>,
    /// Size of a checkpoint in bytes, without its headers.
    pub checkpoint_bytes: u64,
    /// The most that the run takes on disk: the newest checkpoints, the best one with its weights alone, and the one being
    /// written.
    pub disk_bytes: u64,
}

impl Plan {
    /// Makes the plan of a run, for which it takes steps on synthetic images for about `seconds`. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) where configuration, network and packs do not fit; those of the network and
    /// of the device.
    pub fn measure<B: Backend<Scalar = f32>>(
        device: &B,
        config: &Config,
        model: &Model,
        packs: &Packs,
        seconds: f64,
    ) -> Result<Self> {
        let input = Trainer::<B>::check(config, model, packs)?;
        let loader = Loader::new(Arc::clone(&packs.train), input, loader_options(config, model)?)?;
        // A step gathers the gradients of several batches.
        let batches = config.run.accumulate;
        let steps_per_epoch = loader.batches_per_epoch().div_ceil(batches);
        let steps = config.run.steps.unwrap_or(config.run.epochs.saturating_mul(steps_per_epoch as u64));
        let val_images = packs.val.as_ref().map(|val| val.len());
        let checkpoint_bytes = memory::of_checkpoint(device, model, config)?;
        let memory_bytes = memory::needed(device, &Workload::of_run(model, config, packs), config.run.batch)?;
        let loader_images_per_s = bench::loading(&loader, seconds / 2.0)?;
        // A CPU that trains has no cores of its own for loading.
        let time_of = |images: f64, images_per_s: f64| {
            let [training, loading] = [images / images_per_s, images / loader_images_per_s];
            if device.is_asynchronous() { training.max(loading) } else { training + loading }
        };
        let training = bench::train(device, model, config, seconds)?;
        let epochs = steps / steps_per_epoch.max(1) as u64;
        // The last step of an epoch may have fewer batches.
        let of_epoch = (loader.batches_per_epoch() * config.run.batch).min(packs.train.len()) as u64;
        let rest = (steps % steps_per_epoch.max(1) as u64).saturating_mul((config.run.batch * batches) as u64);
        let training_images = epochs.saturating_mul(of_epoch).saturating_add(rest.min(of_epoch));
        let validation_s = match val_images {
            Some(images) => {
                let images = images as f64 * epochs as f64;
                time_of(images, bench::predict(device, model, config, seconds / 2.0)?.images_per_s)
            }
            None => 0.0,
        };
        Ok(Self {
            images: packs.train.len(),
            val_images,
            images_per_step: config.run.batch * batches,
            steps_per_epoch,
            steps,
            images_per_s: training.images_per_s,
            loader_images_per_s,
            training_s: time_of(training_images as f64, training.images_per_s),
            validation_s,
            memory_bytes,
            free_bytes: device.memory().map(|memory| memory.free),
            checkpoint_bytes,
            disk_bytes: disk_bytes(config, model, checkpoint_bytes, val_images.is_some())?,
        })
    }
}

/// The most that checkpoints take on disk at once.
fn disk_bytes(config: &Config, model: &Model, checkpoint: u64, has_validation: bool) -> Result<u64> {
    let parameters = model.parameters()?;
    let weights: u64 = parameters.iter().map(|spec| 4 * spec.shape.iter().product::<usize>() as u64).sum();
    let newest = config.run.keep_checkpoints as u64 + 1;
    let has_best = has_validation || !config.run.monitor.needs_validation();
    let best = if has_best { checkpoint + 2 * weights } else { 0 };
    Ok(newest.saturating_mul(checkpoint).saturating_add(best))
}

/// Evaluates the network that a run would start with on its validation pack. Calls `progress` with the number of images
/// done.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if there is no validation pack; those of the weights and of
/// [`evaluate`](evaluate::evaluate).
pub fn evaluate_start<B: Backend<Scalar = f32>>(
    device: &B,
    config: &Config,
    model: &Model,
    packs: &Packs,
    progress: impl FnMut(usize),
) -> Result<evaluate::Evaluation> {
    let input = Trainer::<B>::check(config, model, packs)?;
    let missing = || crate::Error::setting("data.val", "is not given: there is nothing to evaluate on");
    let val = packs.val.as_ref().ok_or_else(missing)?;
    let network = StartingWeights::network(device, config, model)?;
    evaluate::evaluate(&network, val, &validation_options(config, input), &Stop::default(), progress)
}

/// A time in words, in its two largest units.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {small_unit}"),
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => two(whole / 60, "min", whole % 60, "s"),
        3600..86_400 => two(whole / 3600, "h", whole % 3600 / 60, "min"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let words = [0.4, 59.4, 60.0, 3599.6, 12_240.0, 90_000.0, 864_000.0].map(duration);
        assert_eq!(words, ["0 s", "59 s", "1 min", "1 h", "3 h 24 min", "1 d 1 h", "10 d"]);
    }

    #[test]
    fn the_disk_holds_the_newest_the_best_and_the_one_being_written() {
        let model = Model::preset("linear").unwrap();
        let lengths = model.parameters().unwrap().into_iter().map(|spec| spec.shape.iter().product::<usize>());
        let weights = 4 * lengths.sum::<usize>() as u64;
        let mut config = Config::default();
        config.run.keep_checkpoints = 3;
        assert_eq!(disk_bytes(&config, &model, 1000, false).unwrap(), 4000);
        assert_eq!(disk_bytes(&config, &model, 1000, true).unwrap(), 5000 + 2 * weights);
    }
}
