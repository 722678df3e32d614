//! An image as a network sees it.

use std::path::Path;

use data::Views;
use image::{RgbImage, imageops};
use tensor::ops::InputTransform;
use tensor::{Backend, DeviceImages, Tensor};
use train::evaluate::probabilities;

use super::super::trained::TrainedModel;
use crate::failure::{Failure, Result};

/// The centre crop of an image, with the network's prediction.
pub struct PreparedImage<B: Backend> {
    /// Name of the image.
    pub name: String,
    /// The crop.
    pub crop: RgbImage,
    /// The crop as the network takes it, `[1, crop, crop, 3]`.
    pub input: Tensor<B>,
    /// Probabilities of the classes.
    pub probabilities: Vec<f32>,
    /// The most probable class.
    pub most_probable: usize,
}

impl<B: Backend<Scalar = f32>> PreparedImage<B> {
    /// The centre crop of an RGB square of the network's image size.
    pub fn new(trained: &TrainedModel<B>, name: String, square: &[u8]) -> Result<Self> {
        let network = &trained.network;
        let size = network.model().input.size;
        let settings = trained.input(size)?;
        let device = network.device();
        let images = DeviceImages::from_bytes(device, size, square).map_err(failed)?;
        let crops = Views::Centre.crops(size, settings.crop, 0);
        let transform = InputTransform::new(device, &settings).map_err(failed)?;
        let input = transform.apply(&images, &crops).map_err(failed)?;
        let row = probabilities(network, input.clone(), Views::Centre)?;
        let probabilities = row.row(0).to_vec();
        let best = train::predict::most_probable(row.row(0), &[], 1)
            .map_err(|error| super::trained::named(&trained.path, error))?;
        let margin = ((size - settings.crop) / 2) as u32;
        let side = settings.crop as u32;
        let whole = RgbImage::from_raw(size as u32, size as u32, square.to_vec()).unwrap_or_default();
        let crop = imageops::crop_imm(&whole, margin, margin, side, side).to_image();
        Ok(Self { name, crop, input, probabilities, most_probable: best.first().map_or(0, |class| class.class) })
    }
}

fn failed(error: tensor::Error) -> Failure {
    train::Error::from(error).into()
}

/// Fails unless the name of a file for tensors ends in that of a format.
pub fn check_data_name(path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if ["h5", "hdf5", "safetensors"].contains(&ending.as_str()) {
        return Ok(());
    }
    Err(Failure::Usage(format!("--data: {}: expected a name that ends in .h5 or .safetensors", path.display())))
}
