//! `alexnet show`.

use std::sync::Arc;

use data::{Augment, ColourNoise, ColourRule, CropAndNormalize, Loader, LoaderOptions, Pack, ilsvrc2012};
use image::RgbImage;
use train::plots::{Sample, check_png_name, samples, save_png};

use crate::args::Show;
use crate::console::print;
use crate::failure::{Failure, Result};

/// Standard deviation of the colour noise in the paper.
const COLOUR_DEVIATION: f32 = 0.1;

pub fn run(args: &Show) -> Result<()> {
    check_png_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    if args.variants == 0 && args.crop.is_some() {
        let what = "--crop: has no effect with --variants 0, where nothing is cut; leave one of them out";
        return Err(Failure::Usage(what.into()));
    }
    let pack = Arc::new(Pack::open(&args.pack)?);
    // The paper crops 224 of 256.
    let crop = args.crop.unwrap_or((pack.size() * 7 / 8).max(1));
    let loader = loader(&pack, crop, args.seed)?;
    let selected = select(pack.len(), args.images as usize, args.seed);
    let drawn: Vec<Sample> =
        selected.iter().map(|&index| sample(&pack, &loader, index, args.variants)).collect::<Result<_>>()?;
    save_png(&samples(&drawn), &args.out)?;
    let variants = match args.variants {
        0 => String::new(),
        n => format!(", each as stored and with {n} variants (crop {crop}, flip, colour)"),
    };
    print(&format!("{}: {} of {} images{variants}", args.out.display(), drawn.len(), pack.len()))
}

/// A loader of batches of one image in the pack's order, with the augmentation of the paper.
fn loader(pack: &Arc<Pack>, crop: usize, seed: u64) -> Result<Loader> {
    let colour_noise = Some(ColourNoise { rule: ColourRule::Paper, deviation: COLOUR_DEVIATION, components: None });
    let augment = Some(Augment { random_crop: true, mirror: true, colour_noise, ..Augment::default() });
    let options = LoaderOptions { batch: 1, seed, threads: 1, prefetch_bytes: 1, augment, ..LoaderOptions::default() };
    Ok(Loader::new(Arc::clone(pack), CropAndNormalize::crop_only(crop), options)?)
}

/// Indices of `count` images spread over the pack: at the same offset in each of `count` equal parts.
fn select(len: usize, count: usize, seed: u64) -> Vec<usize> {
    let count = count.min(len);
    let offset = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let start = |part: usize| (part as u128 * len as u128 / count as u128) as usize;
    (0..count).map(|part| start(part) + offset as usize % (start(part + 1) - start(part))).collect()
}

fn sample(pack: &Pack, loader: &Loader, index: usize, variants: u32) -> Result<Sample> {
    let size = pack.size() as u32;
    let wrong = || Failure::Failed(format!("image {index}: its size does not fit its pixels"));
    let stored = RgbImage::from_raw(size, size, pack.pixels(index)?.into_owned()).ok_or_else(wrong)?;
    let mut augmented = Vec::new();
    for epoch in 0..u64::from(variants) {
        let batch = loader.batches(epoch, index).next().ok_or_else(wrong)??;
        let crops = loader.crops(&batch)?;
        let crop = crops.shape()[1] as u32;
        let pixels = crops.iter().map(|&v| v.round().clamp(0.0, 255.0) as u8).collect();
        augmented.push(RgbImage::from_raw(crop, crop, pixels).ok_or_else(wrong)?);
    }
    let label = pack.label(index);
    let class = &pack.classes()[label as usize];
    Ok(Sample {
        label: format!("{} ({label})", ilsvrc2012::short_name(class)),
        note: format!("{index}: {}", pack.name(index)),
        stored,
        variants: augmented,
    })
}
