//! Benchmark of training on a pack.

use std::sync::Arc;
use std::time::Instant;

use data::{Loader, Pack};
use layers::{Model, Network};
use serde::Serialize;
use tensor::Backend;

use super::{LEARNING_RATE, speed};
use crate::config::Config;
use crate::device_loader::{DeviceBatch, DeviceLoader};
use crate::input;
use crate::metrics::{MetricsPolicy, PendingMetrics};
use crate::packs::PackMeans;
use crate::step::{StepOptions, step};
use crate::trainer::loader_options;
use crate::{Error, Result, Targets};

/// Bottleneck of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// The data loader.
    Loader,
    /// The device.
    Device,
}

/// Measurement of training on a pack, and of loading and computing alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PackTraining {
    /// Batch size.
    pub batch: usize,
    /// Images per second of training on the pack.
    pub images_per_s: f64,
    /// Number of steps measured.
    pub steps: usize,
    /// Images per second of training on images that stay on the device.
    pub synthetic_images_per_s: f64,
    /// Images per second of the loader alone.
    pub loader_images_per_s: f64,
    /// The slower of the two: the bottleneck.
    pub limit: Limit,
    /// `images_per_s` divided by the rate of the bottleneck.
    pub share: f64,
}

/// Trains on a pack for about `seconds`, after measuring the loader and the device for as long each.
///
/// # Errors
/// [`Error::Setting`] for a pack of fewer images than a batch, or that does not fit the network.
pub fn train_from_pack<B: Backend<Scalar = f32>>(
    device: &B,
    model: &Model,
    config: &Config,
    pack: &Arc<Pack>,
    seconds: f64,
) -> Result<PackTraining> {
    let batch = config.run.batch;
    if batch > pack.len() {
        let what = format!("must be at most the {} images of the pack, got {batch}", pack.len());
        return Err(Error::setting("run.batch", what));
    }
    let mut model = model.clone();
    input::fit_to_pack(&mut model, pack)?;
    let input = input::crop_and_normalize(&model.input, &PackMeans::of(pack), pack.size())?;
    let loader = Loader::new(Arc::clone(pack), input, loader_options(config, &model)?)?;
    let batches = |epoch| loader.batches(epoch, 0).map(|batch| Ok(batch?));
    let loader_images_per_s = run(batches, seconds, |batch, _| Ok(batch.labels.len()), || Ok(()))?.0;
    let synthetic_images_per_s = speed::train(device, &model, config, seconds)?.images_per_s;

    let mut network = Network::new(device, &model, config.run.seed)?;
    let mut optimizer = config.optim.optimizer()?;
    let loader = DeviceLoader::new(device, loader)?;
    let policy = MetricsPolicy::for_device(device);
    let max_pending = match policy {
        MetricsPolicy::EachStep => 1,
        MetricsPolicy::Batched { steps, .. } => steps,
    };
    let mut pending = Vec::new();
    let train = |batch: DeviceBatch<B>, number: u64| -> Result<usize> {
        let images = loader.input(&batch)?;
        let smoothing = config.data.label_smoothing;
        let targets = Targets { labels: &batch.labels, mixed: &batch.mixed, smoothing, class_weights: &[] };
        let options = StepOptions {
            seed: config.run.seed,
            step: number,
            learning_rate: LEARNING_RATE,
            require_finite_loss: policy == MetricsPolicy::EachStep,
        };
        pending.push(step(&mut network, &mut optimizer, images, targets, options)?);
        if pending.len() >= max_pending {
            PendingMetrics::read_all(&pending.iter().collect::<Vec<_>>())?;
            pending.clear();
        }
        Ok(batch.labels.len())
    };
    let (images_per_s, steps) = run(|epoch| loader.batches(epoch, 0), seconds, train, || Ok(device.synchronize()?))?;
    let (slower, limit) = if loader_images_per_s < synthetic_images_per_s {
        (loader_images_per_s, Limit::Loader)
    } else {
        (synthetic_images_per_s, Limit::Device)
    };
    let share = images_per_s / slower;
    Ok(PackTraining { batch, images_per_s, steps, synthetic_images_per_s, loader_images_per_s, limit, share })
}

/// Steps before the measurement: they compile kernels and allocate memory, and batches are prefetched.
const WARM_UP: usize = 3;

/// Images per second over several epochs, and the number of steps. `step` returns its number of images, `finish` waits
/// for the device.
fn run<I: Iterator<Item = Result<T>>, T>(
    epoch: impl Fn(u64) -> I,
    seconds: f64,
    mut step: impl FnMut(T, u64) -> Result<usize>,
    finish: impl Fn() -> Result<()>,
) -> Result<(f64, usize)> {
    let mut steps = 0;
    let mut images = 0;
    let mut start = Instant::now();
    for batch in (0..).flat_map(epoch) {
        let taken = step(batch?, steps as u64)?;
        steps += 1;
        if steps <= WARM_UP {
            finish()?;
            start = Instant::now();
            continue;
        }
        images += taken;
        if start.elapsed().as_secs_f64() >= seconds {
            break;
        }
    }
    finish()?;
    Ok((images as f64 / start.elapsed().as_secs_f64(), steps - WARM_UP))
}
