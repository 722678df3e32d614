//! Feature vectors: the activations of a layer for each image of a data set, and files of them.

mod file;
mod reader;

use std::sync::Arc;

use data::{Dataset, Loader, Views};
use layers::Network;
use ndarray::Array2;
use tensor::Backend;

use crate::device_loader::DeviceLoader;
use crate::evaluate::{Options, loader_options};
use crate::{Error, Result, Stop};

pub use file::{FeatureDescription, FeaturesFile};
pub use reader::FeaturesReader;

/// The features of a batch of images.
#[derive(Debug)]
pub struct BatchFeatures<'a> {
    /// Index of each image in the data set.
    pub indices: &'a [u64],
    /// Label of each image; without meaning for a data set without classes.
    pub labels: &'a [u32],
    /// `[n, length]`: a row an image. Maps are flattened by height, width and channel, channels innermost.
    pub values: &'a Array2<f32>,
}

/// A layer of a network whose activations are features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureLayer {
    /// The layer as it was asked for, for instance `fc7`.
    pub name: String,
    /// The layer that gives the activations ([`layers::Model::activated`]), for instance `relu7`.
    pub activated: String,
    /// Number of values for an image.
    pub length: usize,
}

impl FeatureLayer {
    /// A layer by its name, or the last hidden layer.
    ///
    /// # Errors
    /// [`Error::Layers`] that lists the layers if there is none of this name; an error that lists them too if a network
    /// without hidden layers is not told which.
    pub fn of(model: &layers::Model, name: Option<&str>) -> Result<Self> {
        let hidden = model.last_hidden_layer()?;
        let name = name.map(str::to_owned).or(hidden).ok_or_else(|| {
            let names: Vec<&str> = model.layers.iter().map(|layer| layer.name.as_str()).collect();
            Error::other(format!("the network {} has no hidden layer; name one of {}", model.name, names.join(", ")))
        })?;
        let activated = model.activated(&name)?.to_string();
        let number = model.find_layer(&activated)?;
        let length = model.shapes()?[number].output_len();
        Ok(Self { name, activated, length })
    }
}

/// Computes the features of all images of a data set in order, each once, from its centre crop. Calls `visit` with each
/// batch. Only the layers up to `layer` are computed. Memory does not grow with the data set.
///
/// # Errors
/// [`Error::Stopped`] if `stop` was requested; an error that names the image if a feature is not finite; errors of
/// `visit`.
pub fn extract<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    layer: &FeatureLayer,
    dataset: Arc<dyn Dataset>,
    options: &Options,
    stop: &Stop,
    mut visit: impl FnMut(BatchFeatures<'_>) -> Result<()>,
) -> Result<()> {
    let options = Options { views: Views::Centre, ..options.clone() };
    let loader = Loader::new(Arc::clone(&dataset), options.input.clone(), loader_options(&options))?;
    let loader = DeviceLoader::new(network.device(), loader)?;
    for batch in loader.batches(0, 0) {
        let batch = batch?;
        stop.check()?;
        let activations = network.activations(loader.input(&batch)?, &layer.activated)?;
        let values = Array2::from_shape_vec((batch.indices.len(), layer.length), activations.to_vec()?);
        let values = values.map_err(Error::other)?;
        check_finite(&values, layer, &*dataset, &batch.indices)?;
        visit(BatchFeatures { indices: &batch.indices, labels: &batch.labels, values: &values })?;
    }
    Ok(())
}

fn check_finite(values: &Array2<f32>, layer: &FeatureLayer, dataset: &dyn Dataset, indices: &[u64]) -> Result<()> {
    for (row, &index) in values.rows().into_iter().zip(indices) {
        if let Some(value) = row.iter().find(|value| !value.is_finite()) {
            let name = dataset.name(index as usize);
            let what = "weights that are not finite, or too large; use those of an earlier checkpoint";
            return Err(Error::other(format!("{name}: {} gives {value}: {what}", layer.activated)));
        }
    }
    Ok(())
}
