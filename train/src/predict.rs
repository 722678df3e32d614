//! Naming what an image shows.

use layers::Network;
use serde::Serialize;
use tensor::ops::InputTransform;
use tensor::{Backend, DeviceImages};

use crate::evaluate::probabilities;
use crate::{Error, Result};
use data::{CropAndNormalize, Views};

/// One class of a prediction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// The class's number.
    pub class: usize,
    /// Its name; its number where the weights come without names.
    pub name: String,
    /// Its probability.
    pub probability: f32,
}

/// The most probable classes of each image, most probable first.
///
/// `images` are `size` x `size` RGB squares (the paper's resize and centre crop), from which the views are cut.
pub fn predict<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    names: &[String],
    input: &CropAndNormalize,
    views: Views,
    size: usize,
    image: &[u8],
    top: usize,
) -> Result<Vec<Guess>> {
    let images = DeviceImages::from_bytes(network.device(), size, image)?;
    if images.len() != 1 {
        return Err(Error::setting("image", format!("expected one of {size} x {size}, got {}", images.len())));
    }
    let transform = InputTransform::new(network.device(), input)?;
    let crops = transform.apply(&images, &views.crops(size, input.crop, 0))?;
    let probabilities = probabilities(network, crops, views)?;
    let mut order: Vec<usize> = (0..probabilities.ncols()).collect();
    let row = probabilities.row(0);
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
    let guess = |class: usize| Guess {
        class,
        name: names.get(class).cloned().unwrap_or_else(|| class.to_string()),
        probability: row[class],
    };
    Ok(order.into_iter().take(top).map(guess).collect())
}
