//! `alexnet show`.

use std::sync::Arc;

use data::{Augment, CropAndNormalize, Loader, LoaderOptions, Pack, ilsvrc2012};
use files::regular_file;
use image::RgbImage;
use train::config::{keys, parse_table};
use train::plots::{Sample, check_png_name, samples, save_png};
use train::{Config, input, run};

use crate::args::Show;
use crate::console::print;
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

pub fn run(args: &Show) -> Result<()> {
    exit_on_signals()?;
    check_png_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    if args.variants == 0 && args.crop.is_some() {
        let what = "--crop: has no effect with --variants 0, where nothing is cut; leave one of them out";
        return Err(Failure::Usage(what.into()));
    }
    let pack = Arc::new(Pack::open(&args.pack)?);
    let augment = augment(args)?;
    let crop = crop(args, &pack)?;
    let loader = loader(&pack, crop, augment.clone(), args.seed)?;
    let selected = select(pack.len(), args.images as usize, args.seed);
    let drawn: Vec<Sample> =
        selected.iter().map(|&index| sample(&pack, &loader, index, args.variants)).collect::<Result<_>>()?;
    save_png(&samples(&drawn), &args.out)?;
    let variants = match args.variants {
        0 => String::new(),
        n => format!(", each as stored and with {n} variants ({})", in_words(augment.as_ref(), crop)),
    };
    print(&format!("{}: {} of {} images{variants}", args.out.display(), drawn.len(), pack.len()))
}

/// The crop of the command line, of the run, or else in the proportion of the paper's 224 of 256.
fn crop(args: &Show, pack: &Pack) -> Result<usize> {
    let of_run = args.run.as_deref().map(run::model).transpose()?.map(|model| model.input.crop);
    Ok(args.crop.or(of_run).unwrap_or((pack.size() * 7 / 8).max(1)))
}

/// The augmentation of the run, or else of the paper, with the settings of the command line.
fn augment(args: &Show) -> Result<Option<Augment>> {
    let mut overrides = vec![("paper".to_string(), keys::parse_setting("data.colour=paper")?)];
    if let Some(folder) = &args.run {
        let path = folder.join("run.toml");
        let origin = path.display().to_string();
        let unreadable = |e| Failure::Failed(format!("--run: {origin}: cannot be read: {e}; name the folder of a run"));
        let text = regular_file::read_text(&path).map_err(unreadable)?;
        overrides.push((origin.clone(), parse_table(&origin, &text)?));
    }
    for setting in &args.set {
        let table = keys::parse_setting(setting)?;
        if table.keys().any(|section| section != "data") {
            let what = "has no effect on how images look; expected settings of data, such as data.mirror=false";
            return Err(Failure::Usage(format!("--set: {setting}: {what}")));
        }
        overrides.push(("--set".to_string(), table));
    }
    let mut data = Config::from_overrides(&overrides)?.data;
    data.read_pca()?;
    Ok(input::augment(&data)?)
}

/// The changes of an augmentation.
fn in_words(augment: Option<&Augment>, crop: usize) -> String {
    let Some(augment) = augment else { return format!("crop {crop} of the centre") };
    let parts = [
        (true, format!("crop {crop}")),
        (augment.mirror, "flip".into()),
        (augment.colour_noise.is_some() || augment.jitter.is_some(), "colour".into()),
        (augment.random_erasing.is_some(), "erasing".into()),
        (augment.mix.is_some(), "not mixed, as single images are shown".into()),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(is_made, _)| *is_made).map(|(_, name)| name).collect();
    parts.join(", ")
}

/// A loader of batches of one image in the pack's order.
fn loader(pack: &Arc<Pack>, crop: usize, augment: Option<Augment>, seed: u64) -> Result<Loader> {
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
        label: heading(ilsvrc2012::short_name(class), label),
        note: format!("{index}: {}", pack.name(index)),
        stored,
        variants: augmented,
    })
}

/// The name of a class with its number, unless they are the same.
fn heading(name: &str, label: u32) -> String {
    if name == label.to_string() { format!("class {name}") } else { format!("{name} ({label})") }
}
