//! The loader by stage: what bounds it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use data::{Augment, Input, Loader, LoaderOptions, Mean, Pack, Shuffle, Storage};
use serde::Serialize;

use crate::config::Config;
use crate::{Error, Result, input};

/// What the loader hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Floats, normalised: what a CPU takes.
    Floats,
    /// Crops of bytes.
    Crops,
    /// Images of bytes, with what is to be cut from them: what `train` gives a device.
    Images,
}

/// A part of the way from disk to network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// The stored bytes come into memory.
    Storage,
    /// Pixels of the crop: JPEGs are decoded, raw images copied.
    Decode,
    /// Varied, normalised, written as floats.
    Augment,
    /// A batch is copied out by one thread, as to a device.
    Consumer,
}

/// A stage's own time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Which.
    pub stage: StageKind,
    /// Images a second up to and with this stage, on all threads; of the consumer, by itself.
    pub images_per_s: f64,
    /// What it adds to an image, in microseconds of wall time.
    pub us_per_image: f64,
}

/// A pack's loader, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pipeline {
    /// Images a batch.
    pub batch: usize,
    /// The loader's threads.
    pub threads: usize,
    /// Side of the crops.
    pub crop: usize,
    /// How images are stored.
    pub storage: String,
    /// The order of an epoch: none, full or window.
    pub shuffle: String,
    /// What is handed over.
    pub output: Output,
    /// The stages in their order.
    pub stages: Vec<Stage>,
    /// All of it at once.
    pub images_per_s: f64,
    /// The stage that takes most of the time.
    pub limit: StageKind,
    /// Bytes read and written for an image: as stored, decoded if they are, and as handed over.
    pub bytes_per_image: f64,
    /// These times the loader's images a second.
    pub bytes_per_s: f64,
    /// Bytes read and written a second by copying large memory on the same threads.
    pub copy_bytes_per_s: f64,
    /// `bytes_per_s / copy_bytes_per_s`.
    pub share_of_copy: f64,
}

/// Measures the loader with the settings of a run, about `seconds` for each stage. The mean image is subtracted, as in
/// the paper.
///
/// # Errors
/// [`Error::Setting`] for a batch of more images than the pack or a crop that does not fit; errors of the pack.
pub fn data(pack: &Arc<Pack>, config: &Config, crop: usize, output: Output, seconds: f64) -> Result<Pipeline> {
    if config.run.batch > pack.len() {
        let what = format!("must be at most the {} images of the pack, got {}", pack.len(), config.run.batch);
        return Err(Error::setting("run.batch", what));
    }
    let options = |augment: Option<Augment>| LoaderOptions {
        batch: config.run.batch,
        seed: config.run.seed,
        shuffle: config.data.order(),
        drop_last: true,
        threads: config.run.threads,
        prefetch_bytes: config.data.prefetch_bytes,
        augment,
        ..LoaderOptions::default()
    };
    let mean = Mean::Image(pack.statistics().mean_image.clone());
    let wanted = Input { crop, bgr: false, scale: 1.0, mean, deviation: None };
    let loader = Loader::new(Arc::clone(pack), wanted.clone(), options(input::augment(&config.data)?))?;
    let cropped = Augment { random_crop: true, mirror: true, ..Augment::default() };
    let cropped = Loader::new(Arc::clone(pack), wanted, options(Some(cropped)))?;

    let storage = storage(pack, config, seconds)?;
    let decode = drain(seconds, |epoch| cropped.crop_batches(epoch, 0), |batch| batch.labels.len())?;
    let augment = match output {
        Output::Floats => drain(seconds, |epoch| loader.batches(epoch, 0), |batch| batch.labels.len())?,
        Output::Crops => drain(seconds, |epoch| loader.crop_batches(epoch, 0), |batch| batch.labels.len())?,
        Output::Images => drain(seconds, |epoch| loader.raw_batches(epoch, 0), |batch| batch.labels.len())?,
    };
    let side = if output == Output::Images { pack.size() } else { crop };
    let handed = side * side * 3 * if output == Output::Floats { 4 } else { 1 };
    let consumer = copy_rate(1, handed * config.run.batch, seconds / 4.0) / (2 * handed) as f64;
    let images_per_s = consumed(&loader, output, handed * config.run.batch, seconds)?;

    let stages = stages([storage, decode, augment, consumer]);
    let limit = limit(&stages);
    let stored = pack.stored_bytes() as f64 / pack.len() as f64;
    let part = (side * side * 3) as f64;
    let read = if pack.storage() == Storage::Raw { part } else { stored + 2.0 * part };
    let bytes_per_image = read + handed as f64;
    let bytes_per_s = bytes_per_image * augment;
    let copy_bytes_per_s = copy_rate(config.run.threads, 256 << 20, seconds / 4.0);
    Ok(Pipeline {
        batch: config.run.batch,
        threads: config.run.threads,
        crop,
        storage: pack.storage().to_string(),
        shuffle: match config.data.order() {
            Shuffle::None => "none".into(),
            Shuffle::Full => "full".into(),
            Shuffle::Window { bytes } => format!("window of {bytes} bytes"),
        },
        output,
        stages,
        images_per_s,
        limit,
        bytes_per_image,
        bytes_per_s,
        copy_bytes_per_s,
        share_of_copy: bytes_per_s / copy_bytes_per_s,
    })
}

/// Each stage's rate with all before it, and what it adds.
fn stages([storage, decode, augment, consumer]: [f64; 4]) -> Vec<Stage> {
    let us = |rate: f64| 1e6 / rate;
    let add = |rate: f64, before: f64| (us(rate) - us(before)).max(0.0);
    let stage = |stage, images_per_s, us_per_image| Stage { stage, images_per_s, us_per_image };
    vec![
        stage(StageKind::Storage, storage, us(storage)),
        stage(StageKind::Decode, decode, add(decode, storage)),
        stage(StageKind::Augment, augment, add(augment, decode)),
        stage(StageKind::Consumer, consumer, us(consumer)),
    ]
}

/// The consumer runs beside the others: it bounds them where it is slower than all of them together.
fn limit(stages: &[Stage]) -> StageKind {
    let loader: f64 = stages.iter().filter(|s| s.stage != StageKind::Consumer).map(|s| s.us_per_image).sum();
    let bound = |s: &&Stage| s.stage != StageKind::Consumer || s.us_per_image > loader;
    let slowest = stages.iter().filter(bound).max_by(|a, b| a.us_per_image.total_cmp(&b.us_per_image));
    slowest.map_or(StageKind::Storage, |s| s.stage)
}

/// Images a second whose stored bytes come into a processor, each thread reading its part of the pack.
fn storage(pack: &Pack, config: &Config, seconds: f64) -> Result<f64> {
    let part = pack.len().div_ceil(config.run.threads);
    // A byte of each line that a processor reads at once.
    let read =
        |index: usize| -> Result<u64> { Ok(pack.stored(index)?.iter().step_by(64).map(|&v| u64::from(v)).sum()) };
    let read_part = &|thread: usize, seconds: f64| -> Result<f64> {
        let own = thread * part..((thread + 1) * part).min(pack.len());
        let mut images = 0;
        let begun = Instant::now();
        loop {
            for index in own.clone() {
                black_box(read(index)?);
            }
            images += own.len();
            if own.is_empty() || begun.elapsed().as_secs_f64() >= seconds {
                return Ok(images as f64 / begun.elapsed().as_secs_f64());
            }
        }
    };
    let all = |seconds: f64| -> Result<f64> {
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..config.run.threads).map(|thread| scope.spawn(move || read_part(thread, seconds))).collect();
            let gone = || Error::from(data::Error::Worker { what: "a thread that reads is gone".into() });
            threads.into_iter().map(|thread| thread.join().map_err(|_| gone())?).sum()
        })
    };
    // The first pass compares checksums, once and for all.
    all(0.0)?;
    all(seconds)
}

/// Batches that are passed over first: memory is made, and some lie ready.
const WARM_UP: usize = 3;

/// Images a second of a loader whose batches are dropped.
fn drain<T, I: Iterator<Item = data::Result<T>>>(
    seconds: f64,
    epoch: impl Fn(u64) -> I,
    mut count: impl FnMut(&T) -> usize,
) -> Result<f64> {
    let mut taken = 0;
    let mut images = 0;
    let mut begun = Instant::now();
    for batch in (0..).flat_map(epoch) {
        let batch = batch?;
        taken += 1;
        if taken <= WARM_UP {
            begun = Instant::now();
            continue;
        }
        images += count(&batch);
        if begun.elapsed().as_secs_f64() >= seconds {
            break;
        }
    }
    Ok(images as f64 / begun.elapsed().as_secs_f64())
}

/// Images a second whose batches are copied out while the next are made.
fn consumed(loader: &Loader, output: Output, bytes: usize, seconds: f64) -> Result<f64> {
    fn copy<T: Copy>(out: &mut Vec<T>, values: &[T]) {
        out.clear();
        out.extend_from_slice(black_box(values));
    }
    let mut floats = Vec::with_capacity(bytes / 4);
    let mut pixels = Vec::with_capacity(bytes);
    match output {
        Output::Floats => drain(
            seconds,
            |epoch| loader.batches(epoch, 0),
            |batch| {
                copy(&mut floats, batch.images.as_slice().unwrap_or(&[]));
                batch.labels.len()
            },
        ),
        Output::Crops => drain(
            seconds,
            |epoch| loader.crop_batches(epoch, 0),
            |batch| {
                copy(&mut pixels, &batch.pixels);
                batch.labels.len()
            },
        ),
        Output::Images => drain(
            seconds,
            |epoch| loader.raw_batches(epoch, 0),
            |batch| {
                copy(&mut pixels, &batch.pixels);
                batch.labels.len()
            },
        ),
    }
}

/// Bytes read and written a second by copying memory of `bytes`, a part for each thread.
fn copy_rate(threads: usize, bytes: usize, seconds: f64) -> f64 {
    let part = bytes.div_ceil(threads).max(1);
    let from = vec![1u8; part * threads];
    let mut to = vec![0u8; part * threads];
    let mut best = 0f64;
    let begun = Instant::now();
    while best == 0.0 || begun.elapsed().as_secs_f64() < seconds {
        let at = Instant::now();
        std::thread::scope(|scope| {
            for (to, from) in to.chunks_mut(part).zip(from.chunks(part)) {
                scope.spawn(|| to.copy_from_slice(black_box(from)));
            }
        });
        best = best.max((2 * part * threads) as f64 / at.elapsed().as_secs_f64());
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consumer_bounds_only_where_it_is_slower_than_the_loader() {
        let kinds = |rates| limit(&stages(rates));
        assert_eq!(kinds([10_000.0, 6_000.0, 5_000.0, 100_000.0]), StageKind::Storage);
        assert_eq!(kinds([100_000.0, 3_000.0, 2_900.0, 8_000.0]), StageKind::Decode);
        assert_eq!(kinds([100_000.0, 50_000.0, 10_000.0, 12_000.0]), StageKind::Augment);
        assert_eq!(kinds([100_000.0, 50_000.0, 10_000.0, 9_000.0]), StageKind::Consumer);
    }
}
