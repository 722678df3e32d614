//! Prediction of the memory that a run needs, before its first step.
//!
//! The step itself and the evaluation run on a [`DryRun`], which allocates memory as the device's allocator does and
//! computes nothing. On the CPU the rest of the program is added, and the images: batches that the loader decodes ahead,
//! or the part of a mapped pack that is in memory. A checkpoint is saved from where its tensors are, without a copy.

use data::{LoaderOptions, MixedLabel, Pack, Storage, Views};
use layers::{Model, Network, Pass};
use optim::Optimizer;
use tensor::{Backend, DryRun, Memory, Tensor};

use crate::config::{ClassWeights, Config};
use crate::device_loader::BATCHES_AHEAD;
use crate::error::OutOfMemory;
use crate::evaluate::softmax_of_each;
use crate::step::{Accumulation, StepOptions, classify, preallocate, step_with};
use crate::{Error, Packs, Result, Targets, WeightAverage};

/// This share of the predicted memory, a 16th, is added as headroom: for gaps that the order of allocations leaves, and
/// for memory that the dry run does not know, such as the kernels themselves.
const HEADROOM_DIVISOR: u64 = 16;
/// Memory of the program itself, which counts on the CPU.
const PROGRAM_BYTES: u64 = 64 << 20;
/// Batches of stored images on the device at once: those ahead, and one in use.
const DEVICE_BATCHES: usize = BATCHES_AHEAD + 1;

/// The sizes that the memory of a run follows from.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    /// The network.
    pub model: &'a Model,
    /// Number of training images, and the configuration of the run; `None` for evaluation only.
    pub training: Option<(usize, &'a Config)>,
    /// Number of images to evaluate, and their crops.
    pub evaluation: Option<(usize, Views)>,
    /// Whether the images are read in a mapped file, as those of raw packs are; others are decoded into buffers.
    pub is_mapped: bool,
}

impl<'a> Workload<'a> {
    /// The work of a run: training, and the validation of each epoch.
    pub fn of_run(model: &'a Model, config: &'a Config, packs: &Packs) -> Self {
        let evaluation = packs.val.as_ref().map(|val| (val.len(), Views::Centre));
        let is_raw = |pack: &Pack| pack.storage() == Storage::Raw;
        let is_mapped = is_raw(&packs.train) && packs.val.as_deref().is_none_or(is_raw);
        Self { model, training: Some((packs.train.len(), config)), evaluation, is_mapped }
    }
}

/// Checks that `workload` with batches of `batch` images fits into the free memory that the device reports, and needs
/// no buffer larger than the device can allocate.
///
/// # Errors
/// [`Error::Memory`] with the bytes needed and free, and the largest batch that fits. Errors of the network.
pub fn check<B: Backend<Scalar = f32>>(device: &B, workload: &Workload<'_>, batch: usize) -> Result<()> {
    check_with(device, device.memory(), workload, batch)
}

/// Like [`check`], for a given amount of memory.
///
/// # Errors
/// As [`check`].
pub fn check_with<B: Backend<Scalar = f32>>(
    device: &B,
    memory: Option<Memory>,
    workload: &Workload<'_>,
    batch: usize,
) -> Result<()> {
    let free = memory.map_or(u64::MAX, |memory| memory.free);
    let is_host = memory.is_some_and(|memory| memory.is_host);
    let requirement = |batch| requirement(device, is_host, workload, batch);
    let (needed, is_one_buffer) = match requirement(batch)? {
        Requirement::Bytes(bytes) if bytes <= free => return Ok(()),
        Requirement::Bytes(bytes) => (bytes, false),
        Requirement::TooLargeBuffer(bytes) => (bytes, true),
    };
    let largest = largest_below(device, memory, workload, batch)?;
    let free = memory.map(|memory| memory.free);
    let device = device.describe().to_string();
    Err(Error::Memory(OutOfMemory { batch, needed, is_one_buffer, free, device, largest }))
}

/// The memory that is left beside the parameters of other networks on the device.
///
/// # Errors
/// Those of the networks.
pub fn beside(memory: Option<Memory>, others: &[&Model]) -> Result<Option<Memory>> {
    let Some(mut memory) = memory else { return Ok(None) };
    for model in others {
        for spec in model.parameters()? {
            memory.free = memory.free.saturating_sub(4 * spec.len() as u64);
        }
    }
    Ok(Some(memory))
}

/// The largest batch of at most `most` images that fits into the free memory that the device reports; 0: none.
///
/// # Errors
/// Those of the network.
pub fn largest_batch<B: Backend<Scalar = f32>>(device: &B, workload: &Workload<'_>, most: usize) -> Result<usize> {
    largest_below(device, device.memory(), workload, most + 1)
}

/// The largest batch below `too_many` that fits. Except for rounding, larger batches never need less memory: the batch
/// found fits, and hardly any larger one does.
fn largest_below<B: Backend<Scalar = f32>>(
    device: &B,
    memory: Option<Memory>,
    workload: &Workload<'_>,
    too_many: usize,
) -> Result<usize> {
    let free = memory.map_or(u64::MAX, |memory| memory.free);
    let is_host = memory.is_some_and(|memory| memory.is_host);
    let mut fits = 0;
    let mut too_many = too_many;
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        match requirement(device, is_host, workload, middle)? {
            Requirement::Bytes(bytes) if bytes <= free => fits = middle,
            _ => too_many = middle,
        }
    }
    Ok(fits)
}

/// The memory in bytes that [`check`] asks for.
///
/// # Errors
/// Those of the network.
pub fn needed<B: Backend<Scalar = f32>>(device: &B, workload: &Workload<'_>, batch: usize) -> Result<u64> {
    let is_host = device.memory().is_some_and(|memory| memory.is_host);
    match requirement(device, is_host, workload, batch)? {
        Requirement::Bytes(bytes) | Requirement::TooLargeBuffer(bytes) => Ok(bytes),
    }
}

/// The bytes of the tensors in a checkpoint: parameters and the optimizer's state.
///
/// # Errors
/// Those of the network.
pub fn of_checkpoint<B: Backend<Scalar = f32>>(device: &B, model: &Model, config: &Config) -> Result<u64> {
    let dry_run = DryRun::new(device.clone());
    let saved = simulate_epoch(
        &dry_run,
        &Workload { model, training: Some((1, config)), evaluation: None, is_mapped: true },
        1,
    )?;
    Ok(saved.iter().map(|tensor| 4 * tensor.len() as u64).sum())
}

/// Peak memory in bytes that training with `config` takes on a device: weights, gradients, the optimizer's state,
/// activations kept for backward, the kernels' workspaces, and the images.
///
/// # Errors
/// Those of the network, and of a buffer larger than the device can allocate.
pub fn of_training<B: Backend<Scalar = f32>>(device: &B, model: &Model, config: &Config, batch: usize) -> Result<u64> {
    let dry_run = DryRun::new(device.clone());
    simulate_epoch(
        &dry_run,
        &Workload { model, training: Some((batch, config)), evaluation: None, is_mapped: true },
        batch,
    )?;
    Ok(dry_run.peak())
}

/// Memory that a batch requires.
enum Requirement {
    /// Bytes in all.
    Bytes(u64),
    /// A single buffer of this many bytes, which the device cannot allocate.
    TooLargeBuffer(u64),
}

fn requirement<B: Backend<Scalar = f32>>(
    device: &B,
    is_host: bool,
    workload: &Workload<'_>,
    batch: usize,
) -> Result<Requirement> {
    let dry_run = DryRun::new(device.clone());
    if let Err(error) = simulate_epoch(&dry_run, workload, batch) {
        return match error.find_source() {
            Some(tensor::Error::Memory { needed, .. }) => Ok(Requirement::TooLargeBuffer(*needed)),
            _ => Err(error),
        };
    }
    let mut bytes = dry_run.peak() + dry_run.peak() / HEADROOM_DIVISOR;
    if is_host {
        bytes += host_image_bytes(workload, batch) + PROGRAM_BYTES;
    }
    Ok(Requirement::Bytes(bytes))
}

/// Runs everything that allocates memory in an epoch and its evaluation, on black images. It takes a step with each
/// batch size, since allocators may keep memory by length, and the first of them allocates the optimizer's state. It
/// evaluates as many batches, since kernels may cache transformed weights from their second use on, and takes a last
/// step beside those caches. Returns the tensors that a checkpoint copies. On a [`DryRun`] it computes nothing.
///
/// # Errors
/// Those of the parts.
pub fn simulate_epoch<B: Backend<Scalar = f32>>(
    device: &B,
    workload: &Workload<'_>,
    batch: usize,
) -> Result<Vec<Tensor<B>>> {
    let mut network = Network::new(device, workload.model, 0)?;
    let size = workload.model.input.size;
    let _mean_image = Tensor::zeros(device, &[size, size, 3])?;
    let mut training = match workload.training {
        Some((count, config)) => Some((count, Training::new(&network, config)?)),
        None => None,
    };
    if let Some((count, training)) = &mut training {
        for batch in batch_lengths(*count, batch).into_iter().chain([batch.min(*count)]) {
            training.step(&mut network, batch)?;
        }
    }
    if let Some((count, views)) = workload.evaluation {
        // An evaluation counts crops.
        let batch = (batch / views.count()).max(1);
        for batch in batch_lengths(count, batch).into_iter().chain([batch.min(count)]) {
            let (_stored, input) = load_batch(&network, batch, views.count())?;
            softmax_of_each(network.predict(input)?)?;
        }
    }
    let mut state = Vec::new();
    if let Some((count, mut training)) = training {
        training.step(&mut network, batch.min(count))?;
        state = training.optimizer.state()?.tensors;
        state.extend(training.average.iter().flat_map(|average| average.values()).cloned());
    }
    let parameters = network.parameters().iter().map(|parameter| parameter.value.clone());
    Ok(parameters.chain(state.into_iter().map(|(_, tensor)| tensor)).collect())
}

/// The lengths of the batches of an epoch: of the full ones, and of the last one.
fn batch_lengths(images: usize, batch: usize) -> Vec<usize> {
    let batch = batch.min(images);
    let last = images % batch.max(1);
    [batch, last].into_iter().filter(|&n| n > 0).collect()
}

/// A training without a loader.
struct Training<'a, B: Backend> {
    config: &'a Config,
    optimizer: Optimizer<B>,
    average: Option<WeightAverage<B>>,
}

impl<'a, B: Backend<Scalar = f32>> Training<'a, B> {
    fn new(network: &Network<B>, config: &'a Config) -> Result<Self> {
        Ok(Self { config, optimizer: config.optim.optimizer()?, average: config.optim.average(network) })
    }

    /// A step on black images. With gradient accumulation it has two batches: more of them need no more memory.
    fn step(&mut self, network: &mut Network<B>, batch: usize) -> Result<()> {
        let data = &self.config.data;
        let mixed = if data.mixup > 0.0 || data.cutmix > 0.0 { vec![MixedLabel::default(); batch] } else { Vec::new() };
        let classes = network.model().classes;
        let weights = if data.class_weights == ClassWeights::None { Vec::new() } else { vec![1.0; classes] };
        let targets = Targets {
            labels: &vec![0; batch],
            mixed: &mixed,
            smoothing: data.label_smoothing,
            class_weights: &weights,
        };
        // A loss is read at once where that costs nothing, and its images are kept until then.
        let require_finite_loss = !network.device().is_asynchronous();
        let options = StepOptions { seed: 0, step: 0, learning_rate: 0.0, require_finite_loss };
        let forward = |network: &Network<B>, pass: &mut Pass<B>| {
            let (_stored, input) = load_batch(network, batch, 1)?;
            classify(network, input, targets, pass, require_finite_loss)
        };
        if self.config.run.accumulate == 1 {
            step_with(network, &mut self.optimizer, options, forward)?;
        } else {
            preallocate(network, &mut self.optimizer)?;
            let mut gathered = Accumulation::new();
            for _ in 0..2 {
                gathered.add(network, options, forward)?;
            }
            gathered.update(network, &mut self.optimizer, 0.0)?;
        }
        self.average.as_mut().map_or(Ok(()), |average| average.update(network))
    }
}

/// The stored bytes of the batches that are on the device at once, and the network's input of one batch.
fn load_batch<B: Backend>(network: &Network<B>, batch: usize, views: usize) -> Result<(Vec<Tensor<B>>, Tensor<B>)> {
    let device = network.device();
    let size = network.model().input.size;
    let crop = network.model().input.crop;
    let words = (batch * size * size * 3).div_ceil(4);
    let copies = if device.reads_host_memory() { 0 } else { DEVICE_BATCHES };
    let stored = (0..copies).map(|_| Tensor::zeros(device, &[words])).collect::<tensor::Result<_>>()?;
    Ok((stored, Tensor::zeros(device, &[batch * views, crop, crop, 3])?.to_activation_dtype()?))
}

/// Bytes of images in host memory: in a mapped file, or in the batches that the loader decodes ahead and those that the
/// device reads, beside what is mapped of the file that they are decoded from.
fn host_image_bytes(workload: &Workload<'_>, batch: usize) -> u64 {
    let images = workload.training.map(|(images, _)| images).into_iter().chain(workload.evaluation.map(|e| e.0));
    let images = images.max().unwrap_or(batch);
    let image_bytes = (workload.model.input.size.pow(2) * 3) as u64;
    let all = images as u64 * image_bytes;
    let batch_bytes = batch.min(images) as u64 * image_bytes;
    if workload.is_mapped {
        return all.min(Pack::RELEASE_BYTES + batch_bytes);
    }
    let prefetch = workload.training.map(|(_, config)| config.data.prefetch_bytes);
    let ahead = prefetch.unwrap_or(LoaderOptions::default().prefetch_bytes) as u64;
    ahead.max(batch_bytes).min(all) + DEVICE_BATCHES as u64 * batch_bytes + Pack::RELEASE_BYTES.min(all / 4)
}

/// Memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Bytes in memory now.
    pub now: u64,
    /// The most there were so far.
    pub peak: u64,
}

impl Resident {
    /// The memory of this process, where the system tells (Linux).
    pub fn now() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        Some(Self { now: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }
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
