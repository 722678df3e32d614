//! `alexnet embed`.

use std::path::Path;

use data::random::{Stream, purpose};
use image::imageops::{self, FilterType};
use similarity::{MapOptions, map};
use tensor::Backend;
use train::features::{FeatureDescription, FeaturesReader};
use train::plots::{MapPoint, THUMBNAIL, check_png_name, image_map, save_png};

use super::device::DeviceTask;
use super::feature_source::{BatchExtractor, Compute, FeatureSource};
use super::features::Extractor;
use super::trained::{self, LoadedModels};
use crate::args::Embed;
use crate::console::{Bar, print};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

pub fn run(args: &Embed) -> Result<()> {
    exit_on_signals()?;
    check_png_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    if args.perplexity.is_nan() || args.perplexity < 1.0 {
        return Err(Failure::Usage(format!("--perplexity: expected a number of at least 1, got {}", args.perplexity)));
    }
    match (&args.vectors, &args.weights) {
        (None, Some(weights)) => {
            let (models, opened) = trained::load_for_features(weights, &args.network)?;
            opened.run(EmbedTask { args, models })
        }
        (vectors, _) => {
            let file = FeaturesReader::open(vectors.as_deref().unwrap_or(Path::new("")))?;
            embed(args, &FeatureSource::of_file(file, args.data.as_deref()), None)
        }
    }
}

struct EmbedTask<'a> {
    args: &'a Embed,
    models: LoadedModels,
}

impl DeviceTask for EmbedTask<'_> {
    type Output = ();

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<()> {
        let Self { args, models } = self;
        let options = &args.network;
        let source = FeatureSource::of_images(args.data.as_slice(), options, &models)?;
        let extractor = Extractor::new(&device, models, options.layer.as_deref(), options.batch, source.len())?;
        embed(args, &source, Some(&BatchExtractor { extractor, batch: options.batch }))
    }
}

/// Computes the map, and writes its files.
fn embed(args: &Embed, source: &FeatureSource, compute: Option<&dyn Compute>) -> Result<()> {
    let selected = select(source.len(), args.images as usize, args.seed);
    let vectors = source.rows(&selected, compute)?;
    let options = MapOptions { perplexity: args.perplexity, steps: args.steps, seed: args.seed };
    let bar = Bar::new("map", "steps", args.steps as u64);
    let points = map(&vectors, &options, |step| bar.set(step as u64));
    let points = points.map_err(|error| Failure::Failed(format!("features: {error}")))?;
    bar.finish();
    let FeatureDescription { layer, network, .. } = source.description(compute);
    let mut classes: Vec<&str> = selected.iter().filter_map(|&image| source.class(image)).collect();
    classes.sort_unstable();
    classes.dedup();
    if let Some(path) = &args.table {
        write_table(path, source, &selected, &points)?;
    }
    let mut drawn = Vec::with_capacity(points.len());
    for (&image, &position) in selected.iter().zip(&points) {
        let group = source.class(image).and_then(|name| classes.binary_search(&name).ok());
        drawn.push(MapPoint { position, group, thumbnail: thumbnail(source, image)? });
    }
    let groups: Vec<String> = classes.iter().map(|name| name.to_string()).collect();
    let title = format!("{} images by {layer} of {network} (t-SNE)", selected.len());
    save_png(&image_map(&drawn, &groups, &title), &args.out)?;
    print(&format!("{}: {} of {} images by {layer}", args.out.display(), selected.len(), source.len()))
}

/// Images drawn at random, in their order.
fn select(len: usize, count: usize, seed: u64) -> Vec<usize> {
    if len <= count {
        return (0..len).collect();
    }
    let order = Stream::new(seed, purpose::USER, 1).permutation(len as u32);
    let mut selected: Vec<usize> = order[..count].iter().map(|&image| image as usize).collect();
    selected.sort_unstable();
    selected
}

/// The image at the size of a map; None if it is not there.
fn thumbnail(source: &FeatureSource, image: usize) -> Result<Option<image::RgbImage>> {
    let Some(whole) = source.image(image)? else { return Ok(None) };
    Ok(Some(imageops::resize(&whole, THUMBNAIL, THUMBNAIL, FilterType::CatmullRom)))
}

fn write_table(path: &Path, source: &FeatureSource, selected: &[usize], points: &[[f64; 2]]) -> Result<()> {
    let failed = |error: String| Failure::Failed(format!("{}: cannot be written: {error}", path.display()));
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut written = table.write_record(["x", "y", "label", "name", "index"]);
    for (&image, point) in selected.iter().zip(points) {
        let [x, y] = point.map(|value| value.to_string());
        let name = source.name(image)?;
        let row = [&x, &y, source.class(image).unwrap_or_default(), &name, &image.to_string()];
        written = written.and_then(|()| table.write_record(row));
    }
    written.map_err(|error| failed(error.to_string()))?;
    let bytes = table.into_inner().map_err(|error| failed(error.to_string()))?;
    Ok(files::replace_bytes(path, &bytes)?)
}
