//! `alexnet neighbours`.

mod codes;
mod output;

use std::path::PathBuf;

use similarity::{Neighbour, NeighbourSearch};
use tensor::Backend;
use train::features::{FeatureDescription, FeaturesReader};
use train::plots::check_png_name;

use self::codes::CodesReport;
use self::output::write;
use super::device::DeviceTask;
use super::feature_source::{BatchExtractor, Compute, FeatureSource, check_same, features_file};
use super::features::Extractor;
use super::selected::spread;
use super::trained::{self, LoadedModels};
use crate::args::Neighbours;
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

/// The neighbours of some images.
pub struct Found {
    /// The layer and the network, with the number of images that were searched.
    pub description: FeatureDescription,
    pub queries: FeatureSource,
    /// The images of `queries` whose neighbours were searched for.
    pub selected: Vec<usize>,
    pub searched: FeatureSource,
    /// Of each selected image, the nearest first.
    pub neighbours: Vec<Vec<Neighbour>>,
    /// The results of binary codes, with `--codes`.
    pub codes: Option<CodesReport>,
}

pub fn run(args: &Neighbours) -> Result<()> {
    exit_on_signals()?;
    check_png_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    if args.codes.is_some() && args.vectors.is_none() {
        let what =
            "--codes: are learned from a file of features; write one with `alexnet features`, and give --features";
        return Err(Failure::Usage(what.into()));
    }
    let searched = args.vectors.as_deref().map(FeaturesReader::open).transpose()?;
    let queries = match args.queries.as_slice() {
        [one] => features_file(one)?,
        _ => None,
    };
    let found = match (searched, queries) {
        (Some(searched), Some(queries)) => {
            check_same(searched.description(), queries.description())?;
            let searched = FeatureSource::of_file(searched, args.data.as_deref());
            find(args, searched, FeatureSource::of_file(queries, None), None)?
        }
        (searched, queries) => {
            let weights = weights(args, searched.as_ref().or(queries.as_ref()))?;
            let (models, opened) = trained::load_for_features(&weights, &args.features)?;
            opened.run(NeighboursTask { args, models, searched, queries })?
        }
    };
    write(args, &found)
}

/// The weights of the command line, or those that a file of features names.
fn weights(args: &Neighbours, file: Option<&FeaturesReader>) -> Result<PathBuf> {
    let named = file.map(|file| PathBuf::from(&file.description().weights));
    let missing = || {
        let what = "--weights: a network computes the features of images; name its weights, or give files of features";
        Failure::Usage(what.into())
    };
    args.weights.clone().or(named).filter(|path| !path.as_os_str().is_empty()).ok_or_else(missing)
}

struct NeighboursTask<'a> {
    args: &'a Neighbours,
    models: LoadedModels,
    searched: Option<FeaturesReader>,
    queries: Option<FeaturesReader>,
}

impl DeviceTask for NeighboursTask<'_> {
    type Output = Found;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Found> {
        let Self { args, models, searched, queries } = self;
        let options = &args.features;
        let layer = searched.as_ref().or(queries.as_ref()).map(|file| file.description().layer.clone());
        let described: Vec<FeatureDescription> =
            [&searched, &queries].into_iter().flatten().map(|file| file.description().clone()).collect();
        let searched = match searched {
            Some(file) => FeatureSource::of_file(file, args.data.as_deref()),
            None => FeatureSource::of_images(args.data.as_slice(), options, &models)?,
        };
        let queries = match queries {
            Some(file) => FeatureSource::of_file(file, None),
            None => FeatureSource::of_images(&args.queries, options, &models)?,
        };
        let layer = options.layer.clone().or(layer);
        let extractor = Extractor::new(&device, models, layer.as_deref(), options.batch, searched.len())?;
        let compute = BatchExtractor { extractor, batch: options.batch };
        for file in &described {
            check_same(file, &compute.description())?;
        }
        find(args, searched, queries, Some(&compute))
    }
}

/// Searches for the neighbours.
fn find(
    args: &Neighbours,
    searched: FeatureSource,
    queries: FeatureSource,
    compute: Option<&dyn Compute>,
) -> Result<Found> {
    let selected = spread(queries.len(), args.images);
    let vectors = queries.rows(&selected, compute)?;
    let failed = |error: similarity::Error| Failure::Failed(format!("features: {error}"));
    let mut search = NeighbourSearch::new(vectors.clone(), args.count as usize).map_err(failed)?;
    searched.blocks(compute, &mut |block| search.add(block).map_err(train::Error::other))?;
    let neighbours = search.finish();
    let compare = |bits| codes::compare(&searched, &vectors, &neighbours, bits, args.seed);
    let codes = args.codes.map(compare).transpose()?;
    let description = searched.description(compute);
    Ok(Found { description, queries, selected, searched, neighbours, codes })
}
