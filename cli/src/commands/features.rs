//! `alexnet features`.

use std::path::Path;
use std::sync::Arc;

use data::{Dataset, Views};
use tensor::Backend;
use train::Stop;
use train::evaluate::Options;
use train::features::{BatchFeatures, FeatureDescription, FeatureLayer, FeaturesFile, extract};

use super::data_set;
use super::device::DeviceTask;
use super::trained::{self, LoadedModels, TrainedModels};
use crate::args::{FeatureArgs, Features};
use crate::console::{Bar, print};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

pub fn run(args: &Features) -> Result<()> {
    exit_on_signals()?;
    FeaturesFile::check_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    let (models, opened) = trained::load_for_features(&args.weights, &args.features)?;
    let FeatureDescription { images, length, layer, .. } = opened.run(FeaturesTask { args, models })?;
    print(&format!("{}: {images} images x {length} values of {layer}", args.out.display()))
}

struct FeaturesTask<'a> {
    args: &'a Features,
    models: LoadedModels,
}

impl DeviceTask for FeaturesTask<'_> {
    type Output = FeatureDescription;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<FeatureDescription> {
        let Self { args, models } = self;
        let FeatureArgs { layer, from, labels, batch, .. } = &args.features;
        let dataset = data_set::open_any(&args.data, *from, labels.as_deref(), &models)?;
        let extractor = Extractor::new(&device, models, layer.as_deref(), *batch, dataset.len())?;
        let description = FeatureDescription {
            images: dataset.len(),
            data: absolute(&args.data),
            classes: dataset.classes().to_vec(),
            ..extractor.description()
        };
        let mut file = FeaturesFile::create(&args.out, &description)?;
        extractor.extract("features", &dataset, *batch, |batch| {
            let names: Vec<String> = batch.indices.iter().map(|&index| dataset.name(index as usize)).collect();
            file.append(&names, batch.labels, batch.values)
        })?;
        file.finish()?;
        Ok(description)
    }
}

/// A path from the root, by which it is found from other folders too.
pub fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}

/// A network on a device that computes features.
pub struct Extractor<B: Backend> {
    trained: TrainedModels<B>,
    layer: FeatureLayer,
    threads: usize,
}

impl<B: Backend<Scalar = f32>> Extractor<B> {
    /// The network for the features of `images` images, in batches. Without the name of a layer they are those of the
    /// last hidden one.
    pub fn new(device: &B, models: LoadedModels, layer: Option<&str>, batch: usize, images: usize) -> Result<Self> {
        let threads = models.threads;
        models.check_memory(device, images.max(1), batch)?;
        let trained = models.into_device(device)?;
        let layer = FeatureLayer::of(trained.first().network.model(), layer);
        let layer = layer.map_err(|error| Failure::Usage(format!("--layer: {error}")))?;
        Ok(Self { trained, layer, threads })
    }

    /// The layer and the network, without images.
    pub fn description(&self) -> FeatureDescription {
        let first = self.trained.first();
        FeatureDescription {
            length: self.layer.length,
            layer: self.layer.name.clone(),
            network: first.network.model().name.clone(),
            weights: absolute(&first.path),
            ..FeatureDescription::default()
        }
    }

    /// Computes the features of all images, under a progress bar of this name, and calls `visit` with each batch.
    pub fn extract(
        &self,
        label: &'static str,
        dataset: &Arc<dyn Dataset>,
        batch: usize,
        mut visit: impl FnMut(&BatchFeatures<'_>) -> train::Result<()>,
    ) -> Result<()> {
        let first = self.trained.first();
        let input = first.input(dataset.size())?;
        let options = Options { input, views: Views::Centre, batch, threads: self.threads };
        let bar = Bar::new(label, "images", dataset.len() as u64);
        let mut done = 0;
        let stop = Stop::default();
        extract(&first.network, &self.layer, Arc::clone(dataset), &options, &stop, |batch| {
            visit(&batch)?;
            done += batch.indices.len() as u64;
            bar.set_with_rate(done, "images");
            Ok(())
        })
        .map_err(|error| self.trained.named(error))?;
        bar.finish();
        Ok(())
    }
}
