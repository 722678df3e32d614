//! Classification of images.

use data::{CropAndNormalize, Views};
use layers::Network;
use ndarray::{Array2, ArrayView1};
use serde::Serialize;
use tensor::ops::InputTransform;
use tensor::{Backend, DeviceImages};

use crate::evaluate::{Member, check_finite, mean_over, probabilities};
use crate::{Error, Result};

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

/// The class probabilities `[n, classes]` of images, RGB squares of `size` x `size` one after another, averaged over their
/// views and the members.
///
/// # Errors
/// [`Error::Setting`] for images of another size, and without members; those of the device.
pub fn predict_batch<B: Backend<Scalar = f32>>(
    members: &[Member<'_, B>],
    views: Views,
    size: usize,
    images: &[u8],
) -> Result<Array2<f32>> {
    let first = members.first().ok_or_else(|| Error::setting("weights", "expected at least one network"))?;
    let device = first.network.device();
    let images = DeviceImages::from_bytes(device, size, images)?;
    mean_over(members, |_, member| {
        let transform = InputTransform::new(device, &member.input)?;
        let numbers = 0..images.len() as u32;
        let crops: Vec<_> = numbers.flat_map(|i| views.crops(size, member.input.crop, i)).collect();
        probabilities(member.network, transform.apply(&images, &crops)?, views)
    })
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
    let members = [Member { network, input: input.clone() }];
    let probabilities = predict_batch(&members, views, size, image)?;
    if probabilities.nrows() != 1 {
        let what = format!("expected one of {size} x {size}, got {}", probabilities.nrows());
        return Err(Error::setting("image", what));
    }
    most_probable(probabilities.row(0), names, top)
}

/// The `top` most probable classes of a row of probabilities, most probable first; of equals the lower class.
///
/// # Errors
/// [`Error::NotFinite`] if the probabilities are not numbers.
pub fn most_probable(row: ArrayView1<f32>, names: &[String], top: usize) -> Result<Vec<ClassProbability>> {
    check_finite(row)?;
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
    let with_name = |class: usize| ClassProbability {
        class,
        name: names.get(class).cloned().unwrap_or_else(|| class.to_string()),
        probability: row[class],
    };
    Ok(order.into_iter().take(top).map(with_name).collect())
}
