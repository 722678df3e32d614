//! The evidence in an image for a class.

use std::error::Error;

use analysis::{Occlusion, grad_cam, last_convolution, occlusion};
use image::RgbImage;
use ndarray::{Array2, Axis, Ix4};
use serde::Serialize;
use tensor::ops::InputTransform;
use tensor::{Backend, DeviceImages, Tensor};
use train::classification::scale_probabilities;

use crate::classifier::{Classifier, PredictedClass};
use crate::draw;
use crate::gallery::NearImage;

/// Kernels of an explanation.
const KERNELS: usize = 8;
/// Images near to that of an explanation.
const NEIGHBOURS: usize = 8;

/// A result whose error goes to a client.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The evidence in an image for a class. Images are `data:` URIs of PNGs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Explanation {
    /// The class.
    class: PredictedClass,
    /// The crop that the network sees.
    input: String,
    /// Maps over the crop: red speaks for the class, blue against it.
    maps: Vec<ExplanationMap>,
    /// The kernels of the first convolution that respond most to the image.
    kernels: Vec<FiredKernel>,
    /// The images of the gallery that are nearest, if there is one.
    neighbours: Vec<NearImage>,
}

#[derive(Clone, Debug, Serialize)]
struct ExplanationMap {
    method: &'static str,
    title: &'static str,
    about: String,
    image: String,
}

/// A kernel that responded to an image.
#[derive(Clone, Debug, Serialize)]
struct FiredKernel {
    layer: String,
    /// Its number in the layer.
    kernel: usize,
    /// The largest value of its map, before the ReLU.
    response: f32,
    /// The kernel.
    image: String,
    /// Its map, from 0 (black) to the largest response of all kernels (white).
    map: String,
}

/// The explanation of one image.
pub(crate) struct Explainer<'a, B: Backend> {
    classifier: &'a Classifier<B>,
    /// The centre crop as the network takes it, `[1, crop, crop, 3]`.
    input: Tensor<B>,
    /// The same as an image.
    crop: RgbImage,
}

impl<'a, B: Backend<Scalar = f32>> Explainer<'a, B> {
    /// Prepares an RGB square of the size that the network is trained on.
    pub fn new(classifier: &'a Classifier<B>, square: &[u8]) -> Result<Self> {
        let device = classifier.network.device();
        let size = classifier.network.model().input.size;
        let images = DeviceImages::from_bytes(device, size, square)?;
        let crops = data::Views::Centre.crops(size, classifier.input.crop, 0);
        let input = InputTransform::new(device, &classifier.input)?.apply(&images, &crops)?;
        let crop = classifier.centre_crop(square).ok_or("the image has another size than the network's")?;
        Ok(Self { classifier, input, crop })
    }

    /// Explains a class, the most probable one by default.
    pub fn explain(&self, class: Option<usize>) -> Result<Explanation> {
        let mut softmax = self.classifier.network.predict(self.input.clone())?.softmax()?.to_vec()?;
        // The class is as probable here as in the prediction.
        scale_probabilities(&mut softmax, self.classifier.temperature);
        let mut top = self.classifier.describe().top(&softmax, softmax.len())?;
        let place = class.and_then(|class| top.iter().position(|other| other.class == class)).unwrap_or(0);
        let class = top.swap_remove(place);
        let mut maps = vec![self.occlusion(class.class)?];
        maps.extend(self.grad_cam(class.class)?);
        let input = draw::png_uri(&self.crop)?;
        Ok(Explanation { class, input, maps, kernels: self.kernels()?, neighbours: self.neighbours()? })
    }

    /// The Grad-CAM map of the last convolution, if there is one.
    fn grad_cam(&self, class: usize) -> Result<Option<ExplanationMap>> {
        let network = &self.classifier.network;
        let Some(layer) = last_convolution(network.model()) else { return Ok(None) };
        let map = grad_cam(network, &self.input, class, layer)?;
        let image = draw::png_uri(&draw::overlay(&self.crop, &map))?;
        let about = format!("Red: where the maps of {layer} speak for the class.");
        Ok(Some(ExplanationMap { method: "grad-cam", title: "Grad-CAM", about, image }))
    }

    fn neighbours(&self) -> Result<Vec<NearImage>> {
        let Some(gallery) = &self.classifier.gallery else { return Ok(Vec::new()) };
        let features = self.classifier.network.activations(self.input.clone(), &gallery.layer().activated)?.to_vec()?;
        gallery.nearest(Array2::from_shape_vec((1, features.len()), features)?, NEIGHBOURS)
    }

    fn occlusion(&self, class: usize) -> Result<ExplanationMap> {
        let settings = Occlusion::of_crop(self.classifier.network.model().input.crop);
        let map = occlusion(&self.classifier.network, &self.input, class, &settings)?;
        let image = draw::png_uri(&draw::overlay(&self.crop, &map.pixels))?;
        let most = map.falls.iter().copied().fold(0.0, f32::max);
        // Falls are measured without a temperature.
        let note = if self.classifier.temperature == 1.0 { "" } else { " (without the temperature)" };
        let about = format!(
            "Red: a grey square of {0} x {0} pixels here lowers the probability of {1:.1}\u{a0}%, by up to {2:.1} points{note}; \
             blue: it raises it.",
            settings.size,
            100.0 * map.probability,
            100.0 * most
        );
        Ok(ExplanationMap { method: "occlusion", title: "Occlusion", about, image })
    }

    /// The kernels of the first convolution by falling response.
    fn kernels(&self) -> Result<Vec<FiredKernel>> {
        let network = &self.classifier.network;
        let Some(layer) = self.classifier.first_convolution() else { return Ok(Vec::new()) };
        let maps = network.activations(self.input.clone(), layer)?.to_array()?.into_dimensionality::<Ix4>()?;
        let maps = maps.index_axis_move(Axis(0), 0);
        let largest = |kernel: usize| maps.index_axis(Axis(2), kernel).iter().copied().fold(f32::MIN, f32::max);
        let mut responses: Vec<(usize, f32)> = (0..maps.len_of(Axis(2))).map(|n| (n, largest(n))).collect();
        responses.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        responses.truncate(KERNELS);
        let name = format!("{layer}.weight");
        let weights = network.parameters().iter().find(|parameter| parameter.spec.name == name);
        let weights = weights.ok_or_else(|| format!("{layer} has no weights"))?.value.to_array()?;
        let most = responses.first().map_or(0.0, |(_, response)| *response);
        let fired = responses.into_iter().map(|(kernel, response)| {
            Ok(FiredKernel {
                layer: layer.to_string(),
                kernel,
                response,
                image: draw::png_uri(&draw::kernel(&weights, kernel)?)?,
                map: draw::png_uri(&draw::map(maps.index_axis(Axis(2), kernel), most))?,
            })
        });
        fired.collect()
    }
}
