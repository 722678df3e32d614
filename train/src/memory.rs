//! Whether a batch fits into a device's memory, known before the first step.
//!
//! The step itself, and the evaluation, are run on a [`DryRun`], which takes memory as the device's allocator
//! does and computes nothing. On the CPU the rest of the program is added: the loader's batches and, when a checkpoint is
//! written, a second copy of all that is saved.

use data::{LoaderOptions, MixedLabel, Views};
use layers::{Model, Network};
use optim::Optimizer;
use tensor::{Backend, DryRun, Memory, Tensor};

use crate::config::Config;
use crate::device_loader::BATCHES_AHEAD;
use crate::step::{StepOptions, step};
use crate::{Error, Result, Targets, checkpoint};

/// Beside what is planned, a share of it, for gaps that the order of allocations leaves and for what the plan does not
/// see, such as the kernels themselves: a 16th.
const ALLOWANCE: u64 = 16;
/// Beside that on the CPU, for the program itself.
const PROGRAM: u64 = 128 << 20;
/// Batches of stored images on the device at once: those ahead, and one in use.
const DEVICE_BATCHES: usize = BATCHES_AHEAD + 1;

/// What is run: the lengths that its memory follows from.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// The network.
    pub model: &'a Model,
    /// Images to train on, with the settings of the run; none to evaluate only.
    pub training: Option<(usize, &'a Config)>,
    /// Images to evaluate on, if any, and their views.
    pub evaluation: Option<(usize, Views)>,
}

/// Fails if `work` with batches of `batch` does not fit into the free memory that the device tells, or needs a buffer
/// larger than it gives.
///
/// # Errors
/// [`Error::Setting`] that names `--batch`, the bytes needed and free, and the largest batch that fits. Errors of the
/// network.
pub fn check<B: Backend<Scalar = f32>>(device: &B, work: &Work<'_>, batch: usize) -> Result<()> {
    check_with(device, device.memory(), work, batch)
}

/// As [`check`], with this much memory.
///
/// # Errors
/// As [`check`].
pub fn check_with<B: Backend<Scalar = f32>>(
    device: &B,
    memory: Option<Memory>,
    work: &Work<'_>,
    batch: usize,
) -> Result<()> {
    let free = memory.map_or(u64::MAX, |memory| memory.free);
    let is_host = memory.is_some_and(|memory| memory.is_host);
    let need = |batch| need(device, is_host, work, batch);
    let needed = match need(batch)? {
        Need::Bytes(bytes) if bytes <= free => return Ok(()),
        Need::Bytes(bytes) => format!("needs {} of memory", human(bytes)),
        Need::Refused(bytes) => format!("needs {} in one piece, more than the device gives", human(bytes)),
    };
    // More images never need less but for roundings: what is found fits, and nearly none larger does.
    let mut fits = 0;
    let mut too_many = batch;
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        match need(middle)? {
            Need::Bytes(bytes) if bytes <= free => fits = middle,
            _ => too_many = middle,
        }
    }
    let free = memory.map_or_else(String::new, |memory| format!("; {} are free", human(memory.free)));
    let advice = match fits {
        0 => "not even a batch of 1 fits".to_string(),
        fits => format!("the largest batch that fits is {fits}"),
    };
    let what = format!("a batch of {batch} {needed} on {}{free}; {advice}", device.describe());
    Err(Error::setting("--batch", what))
}

/// Bytes that training takes of a device at its peak, settings those of `config`: weights, gradients and the optimizer's
/// values, what backward needs of the layers' outputs, the kernels' own room, and the images.
///
/// # Errors
/// Those of the network, and of a buffer larger than the device gives.
pub fn of_training<B: Backend<Scalar = f32>>(device: &B, model: &Model, config: &Config, batch: usize) -> Result<u64> {
    let dry_run = DryRun::new(device.clone());
    rehearse(&dry_run, &Work { model, training: Some((batch, config)), evaluation: None }, batch)?;
    Ok(dry_run.peak())
}

/// What a batch asks of a device.
enum Need {
    Bytes(u64),
    /// A single buffer of so many bytes is more than the device can give.
    Refused(u64),
}

fn need<B: Backend<Scalar = f32>>(device: &B, is_host: bool, work: &Work<'_>, batch: usize) -> Result<Need> {
    let dry_run = DryRun::new(device.clone());
    match rehearse(&dry_run, work, batch) {
        Ok(kept) => {
            let peak = dry_run.peak();
            let kept = kept.iter().map(|tensor| 4 * tensor.len() as u64).sum::<u64>();
            let beside = if is_host { loaded(work, batch) + kept + PROGRAM } else { 0 };
            Ok(Need::Bytes(peak + peak / ALLOWANCE + beside))
        }
        Err(error) => refused(&error).map(Need::Refused).ok_or(error),
    }
}

/// The bytes of the allocation that a device cannot make, if that is the error.
fn refused(error: &Error) -> Option<u64> {
    match error {
        Error::Tensor(error) => of_tensor(error),
        Error::Layers(error) => of_layers(error),
        Error::Optim(optim::Error::Tensor { source, .. }) => of_tensor(source),
        _ => None,
    }
}

fn of_layers(error: &layers::Error) -> Option<u64> {
    match error {
        layers::Error::Tensor(error) => of_tensor(error),
        layers::Error::Layer { source, .. } => of_layers(source),
        _ => None,
    }
}

fn of_tensor(error: &tensor::Error) -> Option<u64> {
    match error {
        tensor::Error::Memory { needed, .. } => Some(*needed),
        _ => None,
    }
}

/// Does with images of nothing but zeros all that takes memory in an epoch and its evaluation: two steps, since the
/// optimizer's memory is made in the first, and steps of all lengths of batches, since allocators may keep memory by
/// length; as many evaluations, since kernels may keep what they make of weights used again; and a last step, which
/// finds that kept. Returns what a checkpoint would copy. On a [`DryRun`] it computes nothing.
///
/// # Errors
/// Those of the parts.
pub fn rehearse<B: Backend<Scalar = f32>>(device: &B, work: &Work<'_>, batch: usize) -> Result<Vec<Tensor<B>>> {
    let mut network = Network::new(device, work.model, 0)?;
    let size = work.model.input.size;
    let _mean_image = Tensor::zeros(device, &[size, size, 3])?;
    let mut training = match work.training {
        Some((count, config)) => Some((count, config, checkpoint::optimizer(&config.optim)?)),
        None => None,
    };
    if let Some((count, config, optimizer)) = &mut training {
        for batch in batches(*count, batch).into_iter().chain([batch.min(*count)]) {
            train(&mut network, optimizer, batch, config)?;
        }
    }
    if let Some((count, views)) = work.evaluation {
        for batch in batches(count, batch).into_iter().chain([batch.min(count)]) {
            let (_raw, images) = feed(&network, batch, views.count())?;
            network.predict(images)?.softmax()?;
        }
    }
    let mut remembered = Vec::new();
    if let Some((count, config, mut optimizer)) = training {
        train(&mut network, &mut optimizer, batch.min(count), config)?;
        remembered = optimizer.state()?.tensors;
    }
    let parameters = network.parameters().iter().map(|parameter| parameter.value.clone());
    Ok(parameters.chain(remembered.into_iter().map(|(_, tensor)| tensor)).collect())
}

/// The lengths of batches of an epoch: the whole ones' and the last one's.
fn batches(images: usize, batch: usize) -> Vec<usize> {
    let batch = batch.min(images);
    let last = images % batch.max(1);
    [batch, last].into_iter().filter(|&n| n > 0).collect()
}

fn train<B: Backend<Scalar = f32>>(
    network: &mut Network<B>,
    optimizer: &mut Optimizer<B>,
    batch: usize,
    config: &Config,
) -> Result<()> {
    let (_raw, images) = feed(network, batch, 1)?;
    let data = &config.data;
    let mixed = if data.mixup > 0.0 || data.cutmix > 0.0 { vec![MixedLabel::default(); batch] } else { Vec::new() };
    let targets = Targets { labels: &vec![0; batch], mixed: &mixed, smoothing: data.label_smoothing };
    let options = StepOptions { seed: 0, step: 0, learning_rate: 0.0, require_finite_loss: false };
    step(network, optimizer, images, targets, options)?;
    Ok(())
}

/// The stored bytes of the batches that are on the device at once, and one batch as the network's input.
fn feed<B: Backend>(network: &Network<B>, batch: usize, views: usize) -> Result<(Vec<Tensor<B>>, Tensor<B>)> {
    let device = network.device();
    let size = network.model().input.size;
    let crop = network.model().input.crop;
    let words = (batch * size * size * 3).div_ceil(4);
    let copies = if device.reads_host_memory() { 0 } else { DEVICE_BATCHES };
    let raw = (0..copies).map(|_| Tensor::zeros(device, &[words])).collect::<tensor::Result<_>>()?;
    Ok((raw, Tensor::zeros(device, &[batch * views, crop, crop, 3])?.to_activation_dtype()?))
}

/// Bytes of the batches that a loader holds: those made ahead, one in the making, one on its way to the device.
fn loaded(work: &Work<'_>, batch: usize) -> u64 {
    let images = work.training.map(|(images, _)| images).into_iter().chain(work.evaluation.map(|e| e.0));
    let batch = batch.min(images.max().unwrap_or(batch)) as u64;
    let image = (work.model.input.size.pow(2) * 3) as u64;
    let trained = work.training.map(|(_, config)| config.data.prefetch_bytes);
    let ahead = trained.unwrap_or(LoaderOptions::default().prefetch_bytes) as u64;
    ahead.max(batch * image) + 2 * batch * image
}

/// Bytes in the unit that gives one to three digits before the point.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
