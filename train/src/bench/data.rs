//! The loader by stage, and the stage that bounds it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use data::{Augment, CropAndNormalize, Loader, LoaderOptions, Mean, Pack, Storage};
use serde::Serialize;
use tensor::HostImages;

use crate::config::Config;
use crate::{Error, Result, input};

/// The form in which images leave the loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Cropped and normalized floats, made by the loader.
    Floats,
    /// Stored images and crop parameters, as `train` gives them to a device.
    Images,
}

/// A stage on the way from the disk to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// The stored bytes are read into memory.
    Storage,
    /// The images of a batch are in memory: JPEGs decoded within their crops, raw images mapped.
    Decode,
    /// Augmentation and, for floats, crop and normalization.
    Augment,
    /// One thread copies a batch, as to a device.
    Consumer,
}

/// The time of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// The stage.
    pub stage: StageKind,
    /// Images per second up to and including this stage, on all threads; of the consumer alone.
    pub images_per_s: f64,
    /// Wall time that the stage adds to an image, in microseconds.
    pub us_per_image: f64,
}

/// Measurements of a pack's loader.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pipeline {
    /// Images per batch.
    pub batch: usize,
    /// Number of loading threads.
    pub threads: usize,
    /// Side length of the crops in pixels.
    pub crop: usize,
    /// Encoding of the stored images.
    pub storage: String,
    /// The order of an epoch: none, full or window.
    pub shuffle: String,
    /// The form in which images leave the loader.
    pub output: Output,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// Images per second of all stages together.
    pub images_per_s: f64,
    /// The stage that takes the most time.
    pub limit: StageKind,
    /// Bytes read and written per image: stored, decoded, and output; 0 if the output is the mapped pack itself.
    pub bytes_per_image: f64,
    /// `bytes_per_image` times the images per second of the loader.
    pub bytes_per_s: f64,
    /// Bytes read and written per second by copying large memory on the same threads.
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
    let input = CropAndNormalize { mean, ..CropAndNormalize::crop_only(crop) };
    let loader = Loader::new(Arc::clone(pack), input.clone(), options(input::augment(&config.data)?))?;
    let crop_only = Augment { random_crop: true, mirror: true, ..Augment::default() };
    let cropping = Loader::new(Arc::clone(pack), input, options(Some(crop_only)))?;

    let storage = storage(pack, config, seconds)?;
    let decode = rate(seconds, |epoch| cropping.batches(epoch, 0), |batch| batch.labels.len())?;
    let augment = match output {
        Output::Floats => rate(seconds, |epoch| loader.crop_batches(epoch, 0), |batch| batch.labels.len())?,
        Output::Images => rate(seconds, |epoch| loader.batches(epoch, 0), |batch| batch.labels.len())?,
    };
    let (side, value_bytes) = match output {
        Output::Floats => (crop, size_of::<f32>()),
        Output::Images => (pack.size(), 1),
    };
    let output_bytes = side * side * 3 * value_bytes;
    let consumer = copy_rate(1, output_bytes * config.run.batch, seconds / 4.0) / (2 * output_bytes) as f64;
    let images_per_s = copied(&loader, output, seconds)?;

    let stages = stages([storage, decode, augment, consumer]);
    let limit = limit(&stages);
    let stored = pack.stored_bytes() as f64 / pack.len() as f64;
    let pixels = (side * side * 3) as f64;
    let read = if pack.storage() == Storage::Raw { pixels } else { stored + 2.0 * pixels };
    let is_borrowed = output == Output::Images && loader.reads_the_map();
    let bytes_per_image = if is_borrowed { 0.0 } else { read + output_bytes as f64 };
    let bytes_per_s = bytes_per_image * augment;
    let copy_bytes_per_s = copy_rate(config.run.threads, 256 << 20, seconds / 4.0);
    Ok(Pipeline {
        batch: config.run.batch,
        threads: config.run.threads,
        crop,
        storage: pack.storage().to_string(),
        shuffle: config.data.order().to_string(),
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

/// The consumer runs in parallel: it is the bottleneck if it is slower than all others together.
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
        let started = Instant::now();
        loop {
            for index in own.clone() {
                black_box(read(index)?);
            }
            images += own.len();
            if own.is_empty() || started.elapsed().as_secs_f64() >= seconds {
                return Ok(images as f64 / started.elapsed().as_secs_f64());
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

/// Images per second of a loader alone, as `train` takes them, measured for about `seconds`.
pub(crate) fn loading(loader: &Loader, seconds: f64) -> Result<f64> {
    rate(seconds, |epoch| loader.batches(epoch, 0), |batch| batch.labels.len())
}

/// Batches that are not measured: the first allocate memory, and some are ready before the start.
const WARM_UP: usize = 3;

/// Images per second of iterators of batches, one per epoch; `consume` takes a batch and returns its number of images.
fn rate<T, I: Iterator<Item = data::Result<T>>>(
    seconds: f64,
    epoch: impl Fn(u64) -> I,
    mut consume: impl FnMut(T) -> usize,
) -> Result<f64> {
    let mut taken = 0;
    let mut images = 0;
    let mut started = Instant::now();
    for batch in (0..).flat_map(epoch) {
        let count = consume(batch?);
        taken += 1;
        if taken <= WARM_UP {
            started = Instant::now();
            continue;
        }
        images += count;
        if started.elapsed().as_secs_f64() >= seconds {
            break;
        }
    }
    Ok(images as f64 / started.elapsed().as_secs_f64())
}

/// Images per second whose batches are copied by this thread while the next are made.
fn copied(loader: &Loader, output: Output, seconds: f64) -> Result<f64> {
    let mut floats: Vec<f32> = Vec::new();
    let mut pixels = Vec::new();
    match output {
        Output::Floats => rate(
            seconds,
            |epoch| loader.crop_batches(epoch, 0),
            |batch| {
                floats.clear();
                floats.extend_from_slice(black_box(&batch.images).as_slice().unwrap_or_default());
                batch.labels.len()
            },
        ),
        Output::Images => rate(
            seconds,
            |epoch| loader.batches(epoch, 0),
            |batch| {
                pixels.clear();
                for position in 0..batch.images.count() {
                    pixels.extend_from_slice(black_box(batch.images.image(position)));
                }
                batch.labels.len()
            },
        ),
    }
}

/// Bytes read and written per second by copying memory of `bytes`, a part on each thread.
fn copy_rate(threads: usize, bytes: usize, seconds: f64) -> f64 {
    let part = bytes.div_ceil(threads).max(1);
    let from = vec![1u8; part * threads];
    let mut to = vec![0u8; part * threads];
    let mut best = 0f64;
    let started = Instant::now();
    while best == 0.0 || started.elapsed().as_secs_f64() < seconds {
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
