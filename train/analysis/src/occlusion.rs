//! Occlusion.

use layers::Network;
use layers::tensor::{Backend, Tensor};
use ndarray::Array2;

use crate::error::check_class;
use crate::{Error, Result};

/// Settings of [`occlusion`].
///
/// ```
/// let settings = alexnet_analysis::Occlusion::of_crop(224);
/// assert_eq!((settings.size, settings.stride), (45, 12));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occlusion {
    /// Side of the square that hides a part, in pixels.
    pub size: usize,
    /// Distance of the squares, in pixels.
    pub stride: usize,
    /// Number of images that are computed together; it changes memory and rounding alone.
    pub batch: usize,
}

/// The result of [`occlusion`].
#[derive(Clone, Debug, PartialEq)]
pub struct OcclusionMap {
    /// Probability of the class for the whole image.
    pub probability: f32,
    /// The fall of the probability by the square at each place, `[rows, columns]`; negative where it grew.
    pub falls: Array2<f32>,
    /// For each pixel, the mean fall over the squares that hide it, `[crop, crop]`.
    pub pixels: Array2<f32>,
}

impl Occlusion {
    /// Squares of a fifth of a crop, about 16 x 16 of them.
    pub fn of_crop(crop: usize) -> Self {
        let size = (crop / 5 + usize::from(!crop.is_multiple_of(5))).max(1);
        Self { size, stride: ((crop - size.min(crop)) / 15 + usize::from(crop > 32)).max(1), batch: 32 }
    }

    fn check(&self, crop: usize) -> Result<()> {
        let range = |name, value: usize| match value {
            0 => Err(Error::Setting { name, expected: format!("1 to {crop}"), got: value.to_string() }),
            _ if value > crop => Err(Error::Setting { name, expected: format!("1 to {crop}"), got: value.to_string() }),
            _ => Ok(()),
        };
        range("size", self.size)?;
        range("stride", self.stride)?;
        if self.batch == 0 {
            return Err(Error::Setting { name: "batch", expected: "at least 1".into(), got: "0".into() });
        }
        Ok(())
    }

    /// The first rows, or columns, of the squares; the last one ends at the border.
    fn places(&self, crop: usize) -> Vec<usize> {
        let last = crop - self.size;
        let mut places: Vec<usize> = (0..last).step_by(self.stride).collect();
        places.push(last);
        places
    }
}

/// The fall of a class's probability when a square hides a part of the image, for squares all over it (Zeiler and Fergus,
/// "Visualizing and Understanding Convolutional Networks", 2014, section 4.2). `image` is `[1, crop, crop, 3]`,
/// normalised; hidden values are 0, the mean of the training images where the network subtracts one.
///
/// # Errors
/// [`Error::Class`], [`Error::Setting`]; those of the network for an image of another shape.
pub fn occlusion<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    image: &Tensor<B>,
    class: usize,
    settings: &Occlusion,
) -> Result<OcclusionMap> {
    check_class(network.model(), class)?;
    let crop = network.model().input.crop;
    settings.check(crop)?;
    let probability = probabilities(network, image.clone(), class)?[0];
    let pixels = image.to_vec()?;
    let places = settings.places(crop);
    let squares: Vec<[usize; 2]> = places.iter().flat_map(|&top| places.iter().map(move |&left| [top, left])).collect();
    let mut falls = Vec::with_capacity(squares.len());
    for batch in squares.chunks(settings.batch) {
        let mut hidden = Vec::with_capacity(batch.len() * pixels.len());
        for &square in batch {
            hidden.extend_from_slice(&pixels);
            let start = hidden.len() - pixels.len();
            hide(&mut hidden[start..], crop, square, settings.size);
        }
        let images = Tensor::from_slice(network.device(), &[batch.len(), crop, crop, 3], &hidden)?;
        falls.extend(probabilities(network, images, class)?.iter().map(|p| probability - p));
    }
    let pixels = spread(&squares, &falls, crop, settings.size);
    let count = places.len();
    let falls = Array2::from_shape_fn((count, count), |(row, column)| falls[row * count + column]);
    Ok(OcclusionMap { probability, falls, pixels })
}

/// Sets a square of an image `[crop, crop, 3]` to 0.
fn hide(image: &mut [f32], crop: usize, [top, left]: [usize; 2], size: usize) {
    for row in image.chunks_exact_mut(crop * 3).skip(top).take(size) {
        row[left * 3..(left + size) * 3].fill(0.0);
    }
}

/// The mean over the squares that hide a pixel.
fn spread(squares: &[[usize; 2]], falls: &[f32], crop: usize, size: usize) -> Array2<f32> {
    let mut sum = Array2::<f32>::zeros((crop, crop));
    let mut count = Array2::<f32>::zeros((crop, crop));
    for (&[top, left], &fall) in squares.iter().zip(falls) {
        let square = ndarray::s![top..top + size, left..left + size];
        sum.slice_mut(square).mapv_inplace(|v| v + fall);
        count.slice_mut(square).mapv_inplace(|v| v + 1.0);
    }
    // Pixels between squares that are further apart than their size are hidden by none.
    count.mapv_inplace(|n| n.max(1.0));
    sum / count
}

/// The probability of a class for each of the images.
fn probabilities<B: Backend<Scalar = f32>>(network: &Network<B>, images: Tensor<B>, class: usize) -> Result<Vec<f32>> {
    let softmax = network.predict(images)?.softmax()?;
    let classes = softmax.shape()[1];
    Ok(softmax.to_vec()?.chunks_exact(classes).map(|row| row[class]).collect())
}
