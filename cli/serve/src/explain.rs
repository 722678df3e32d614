//! What in an image led to a prediction.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, ImageFormat, Luma, RgbImage, imageops};
use ndarray::{ArrayD, ArrayView2, Axis, Ix4};
use serde::Serialize;
use tensor::ops::InputTransform;
use tensor::{Backend, DeviceImages, Tensor};
use train::plots::kernels;

use crate::classifier::{Classifier, PredictedClass};

/// Kernels of an explanation.
const KERNELS: usize = 8;
/// The width that a drawn kernel aims at, in pixels.
const KERNEL_WIDTH: usize = 96;

/// What in an image led to a class.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Explanation {
    /// The class.
    class: PredictedClass,
    /// The crop that the network sees, as a `data:` URI of a PNG.
    input: String,
    /// The kernels of the first convolution that respond most to the image.
    kernels: Vec<FiredKernel>,
}

/// A kernel that responded to an image.
#[derive(Clone, Debug, Serialize)]
struct FiredKernel {
    layer: String,
    /// Its number in the layer.
    kernel: usize,
    /// The largest value of its map, before the ReLU.
    response: f32,
    /// The kernel, as a `data:` URI of a PNG.
    image: String,
    /// Its map, from 0 (black) to the largest response (white).
    map: String,
}

/// The explanation of one image.
pub(crate) struct Explainer<'a, B: Backend> {
    classifier: &'a Classifier<B>,
    square: &'a [u8],
    /// The centre crop as the network takes it, `[1, crop, crop, 3]`.
    input: Tensor<B>,
}

impl<'a, B: Backend<Scalar = f32>> Explainer<'a, B> {
    pub fn new(classifier: &'a Classifier<B>, square: &'a [u8]) -> train::Result<Self> {
        let device = classifier.network.device();
        let size = classifier.network.model().input.size;
        let images = DeviceImages::from_bytes(device, size, square)?;
        let crops = data::Views::Centre.crops(size, classifier.input.crop, 0);
        let input = InputTransform::new(device, &classifier.input)?.apply(&images, &crops)?;
        Ok(Self { classifier, square, input })
    }

    /// Explains a class, the most probable one by default.
    pub fn explain(&self, class: Option<usize>) -> train::Result<Explanation> {
        let softmax = self.classifier.network.predict(self.input.clone())?.softmax()?.to_vec()?;
        let description = self.classifier.describe();
        let mut top = description.top(&softmax, softmax.len())?;
        let place = class.and_then(|class| top.iter().position(|other| other.class == class)).unwrap_or(0);
        let input = self.classifier.centre_crop(self.square).unwrap_or_else(|| RgbImage::new(1, 1));
        Ok(Explanation { class: top.swap_remove(place), input: png_uri(&input)?, kernels: self.kernels()? })
    }

    /// The kernels of the first convolution by falling response.
    fn kernels(&self) -> train::Result<Vec<FiredKernel>> {
        let network = &self.classifier.network;
        let Some(layer) = self.classifier.first_convolution() else { return Ok(Vec::new()) };
        let maps = network.activations(self.input.clone(), layer)?.to_array()?;
        let Ok(maps) = maps.into_dimensionality::<Ix4>() else { return Ok(Vec::new()) };
        let maps = maps.index_axis_move(Axis(0), 0);
        let largest = |kernel: usize| maps.index_axis(Axis(2), kernel).iter().copied().fold(f32::MIN, f32::max);
        let mut responses: Vec<(usize, f32)> = (0..maps.len_of(Axis(2))).map(|n| (n, largest(n))).collect();
        responses.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        responses.truncate(KERNELS);
        let name = format!("{layer}.weight");
        let Some(weights) = network.parameters().iter().find(|parameter| parameter.spec.name == name) else {
            return Ok(Vec::new());
        };
        let weights = weights.value.to_array()?;
        let most = responses.first().map_or(0.0, |(_, response)| *response);
        let fired = responses.into_iter().map(|(kernel, response)| {
            Ok(FiredKernel {
                layer: layer.to_string(),
                kernel,
                response,
                image: png_uri(&draw_kernel(&weights, kernel)?)?,
                map: png_uri(&draw_map(maps.index_axis(Axis(2), kernel), most))?,
            })
        });
        fired.collect()
    }
}

fn draw_kernel(weights: &ArrayD<f32>, kernel: usize) -> train::Result<RgbImage> {
    let width = weights.shape().get(2).copied().unwrap_or(1).max(1);
    Ok(kernels(&weights.select(Axis(0), &[kernel]), (KERNEL_WIDTH / width).clamp(1, 24) as u32)?)
}

/// A map in grey, from 0 to `most`.
fn draw_map(map: ArrayView2<f32>, most: f32) -> RgbImage {
    let (height, width) = map.dim();
    let level = |value: f32| if most > 0.0 { (value / most * 255.0).clamp(0.0, 255.0).round() as u8 } else { 0 };
    let grey = GrayImage::from_fn(width as u32, height as u32, |x, y| Luma([level(map[[y as usize, x as usize]])]));
    let scale = (KERNEL_WIDTH as u32).div_ceil(width.max(1) as u32).max(1);
    let grey = imageops::resize(&grey, grey.width() * scale, grey.height() * scale, imageops::FilterType::Nearest);
    image::DynamicImage::ImageLuma8(grey).into_rgb8()
}

/// An image as a `data:` URI of a PNG.
fn png_uri(image: &RgbImage) -> train::Result<String> {
    let mut png = Cursor::new(Vec::new());
    let written = image.write_to(&mut png, ImageFormat::Png);
    written.map_err(|error| train::Error::setting("image", error.to_string()))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png.get_ref())))
}
