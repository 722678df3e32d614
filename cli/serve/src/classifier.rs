//! A trained network that answers requests.

use data::{CropAndNormalize, Views, ilsvrc2012};
use image::RgbImage;
use layers::Network;
use layers::model::LayerKind;
use ndarray::Array2;
use serde::Serialize;
use tensor::Backend;
use train::evaluate::Member;
use train::evaluate::with_temperature;
use train::predict::{most_probable, predict_batch};

use crate::explain::{self, Explainer, Explanation};
use crate::gallery::Gallery;
use crate::{Error, Result};

/// A trained network on a device, with its expectations of images.
#[derive(Debug)]
pub struct Classifier<B: Backend> {
    /// The network.
    pub network: Network<B>,
    /// Crop and normalization of its images.
    pub input: CropAndNormalize,
    /// Crops of an image whose probabilities are averaged.
    pub views: Views,
    /// Temperature that logits are divided by; 1 for the probabilities as they are.
    pub temperature: f64,
    /// Names of the classes; numbers stand for those that are missing.
    pub classes: Vec<String>,
    /// Whether images are rotated by their EXIF orientation, as those of the training were.
    pub exif_orientation: bool,
    /// Name of the weights, for the page.
    pub weights: String,
    /// Images of which the nearest are shown beside an explanation.
    pub gallery: Option<Gallery>,
}

/// A classifier as requests see it: its network, classes and sizes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Description {
    pub network: String,
    pub weights: String,
    pub classes: Vec<String>,
    /// Side of the square that images are resized to, in pixels.
    pub size: usize,
    /// Side of the crop that the network takes of it.
    pub crop: usize,
    /// Crops whose probabilities are averaged.
    pub crops: usize,
    pub parameters: usize,
    #[serde(skip)]
    pub exif_orientation: bool,
}

/// A class of a prediction.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PredictedClass {
    pub class: usize,
    pub name: String,
    pub words: Option<&'static str>,
    pub probability: f32,
}

/// The work of the thread that computes, on any device. Images are RGB squares of `size` pixels, one after another.
pub(crate) trait Compute: Send + Sync {
    /// Probabilities `[n, classes]`.
    fn predict(&self, squares: &[u8]) -> train::Result<Array2<f32>>;
    /// The evidence in one image for a class, by default the most probable one.
    fn explain(&self, square: &[u8], class: Option<usize>) -> explain::Result<Explanation>;
}

impl Description {
    /// The most probable classes of a row of probabilities.
    pub fn top(&self, probabilities: &[f32], top: usize) -> train::Result<Vec<PredictedClass>> {
        let found = most_probable(ndarray::aview1(probabilities), &self.classes, top)?;
        let named = found.into_iter().map(|class| PredictedClass {
            words: ilsvrc2012::words(&class.name),
            class: class.class,
            name: class.name,
            probability: class.probability,
        });
        Ok(named.collect())
    }
}

impl<B: Backend<Scalar = f32>> Classifier<B> {
    pub(crate) fn describe(&self) -> Description {
        let model = self.network.model();
        Description {
            network: model.name.clone(),
            weights: self.weights.clone(),
            classes: (0..model.classes).map(|class| self.class_name(class)).collect(),
            size: model.input.size,
            crop: self.input.crop,
            crops: self.views.count(),
            parameters: self.network.parameters().iter().map(|parameter| parameter.value.len()).sum(),
            exif_orientation: self.exif_orientation,
        }
    }

    fn class_name(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// Classifies a grey image, so that requests find a network that works and its kernels compiled.
    pub(crate) fn check(&self) -> Result<()> {
        let size = self.network.model().input.size;
        Compute::predict(self, &vec![128; size * size * 3]).map(drop).map_err(Error::Classifier)
    }

    /// The part of a square that the network takes, as an image.
    pub(crate) fn centre_crop(&self, square: &[u8]) -> Option<RgbImage> {
        let size = self.network.model().input.size;
        let crop = self.input.crop as u32;
        let margin = (size as u32).checked_sub(crop)? / 2;
        let image = RgbImage::from_raw(size as u32, size as u32, square.to_vec())?;
        Some(image::imageops::crop_imm(&image, margin, margin, crop, crop).to_image())
    }

    /// The first convolution, if the network has one.
    pub(crate) fn first_convolution(&self) -> Option<&str> {
        let is_convolution = |kind: &LayerKind| matches!(kind, LayerKind::Conv(_));
        self.network.model().layers.iter().find(|layer| is_convolution(&layer.kind)).map(|layer| layer.name.as_str())
    }
}

impl<B: Backend<Scalar = f32>> Compute for Classifier<B> {
    fn predict(&self, squares: &[u8]) -> train::Result<Array2<f32>> {
        let members = [Member { network: &self.network, input: self.input.clone() }];
        let rows = predict_batch(&members, self.views, self.network.model().input.size, squares)?;
        Ok(with_temperature(rows, self.temperature))
    }

    fn explain(&self, square: &[u8], class: Option<usize>) -> explain::Result<Explanation> {
        Explainer::new(self, square)?.explain(class)
    }
}
