//! Classification of images.

use layers::Network;
use serde::Serialize;
use tensor::ops::InputTransform;
use tensor::{Backend, DeviceImages};

use crate::evaluate::{check_finite, probabilities};
use crate::{Error, Result};
use data::{CropAndNormalize, Views};

/// A class of a prediction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassProbability {
    /// Index of the class.
    pub class: usize,
    /// Name of the class, or its index if the weights have no names.
    pub name: String,
    /// Probability.
    pub probability: f32,
}

/// The `top` most probable classes of an image, most probable first.
///
/// `image` is an RGB square of `size` x `size` (the paper's resize and centre crop), from which the views are cropped.
///
/// # Errors
/// [`Error::NotFinite`] if the network's outputs are not numbers; [`Error::Setting`] for an image of another size; those of
/// the device.
pub fn predict<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    names: &[String],
    input: &CropAndNormalize,
    views: Views,
    size: usize,
    image: &[u8],
    top: usize,
) -> Result<Vec<ClassProbability>> {
    let images = DeviceImages::from_bytes(network.device(), size, image)?;
    if images.len() != 1 {
        return Err(Error::setting("image", format!("expected one of {size} x {size}, got {}", images.len())));
    }
    let transform = InputTransform::new(network.device(), input)?;
    let crops = transform.apply(&images, &views.crops(size, input.crop, 0))?;
    let probabilities = probabilities(network, crops, views)?;
    let mut order: Vec<usize> = (0..probabilities.ncols()).collect();
    let row = probabilities.row(0);
    check_finite(row)?;
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
    let with_name = |class: usize| ClassProbability {
        class,
        name: names.get(class).cloned().unwrap_or_else(|| class.to_string()),
        probability: row[class],
    };
    Ok(order.into_iter().take(top).map(with_name).collect())
}
