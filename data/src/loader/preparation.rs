//! Conversion of stored bytes to the normalized floats of a crop, in one pass.

use ndarray::{Array3, Array4};
use tensor::ops::prepare::Layout;
use tensor::ops::{Prepare, View};

use super::input::{Input, Mean, Views};
use crate::error::{Error, Result};

/// [`Input`] compiled for images of one size, for this crate's batches and for
/// [`RawImages::prepare`](tensor::ops::RawImages::prepare) on any device. The value of a pixel is `((pixel + shift) *
/// factor - mean) * damping`, where shift and damping are those of the view.
#[derive(Clone, Debug, PartialEq)]
pub struct Preparation {
    /// Side length of the stored images in pixels.
    pub size: usize,
    /// Crop and per-channel normalization: `factor` is scale / deviation, `mean` is the mean colour / deviation.
    pub prepare: Prepare,
    /// Mean image / deviation, `[size, size, 3]`, if the input has one.
    pub mean_image: Option<Array3<f32>>,
}

impl Preparation {
    /// Compiles `input` for stored images of `size` x `size`.
    ///
    /// # Errors
    /// [`Error::Option`] if the crop or mean image does not fit the images, or scale or deviation is zero or not
    /// finite.
    pub fn new(input: &Input, size: usize) -> Result<Self> {
        if input.crop == 0 || input.crop > size {
            return Err(Error::option("crop", format!("1 to {size}, the images' size"), input.crop));
        }
        let deviation = input.deviation.unwrap_or([1.0; 3]);
        let usable = |v: &f32| v.is_finite() && *v != 0.0;
        if !deviation.iter().all(usable) || !usable(&input.scale) {
            let got = format!("scale {} and deviation {deviation:?}", input.scale);
            return Err(Error::option("input", "a scale and a deviation that are finite and not zero", got));
        }
        let mut mean_image = None;
        let mut mean = [0.0; 3];
        match &input.mean {
            Mean::None => {}
            Mean::Rgb(rgb) => mean = std::array::from_fn(|c| rgb[c] / deviation[c]),
            Mean::Image(image) if image.dim() == (size, size, 3) => {
                let divided = Array3::from_shape_fn(image.dim(), |at| image[at] / deviation[at.2]);
                mean_image = Some(divided);
            }
            Mean::Image(image) => {
                let expected = format!("{size} x {size} x 3, the images' size");
                return Err(Error::option("mean image", expected, format!("{:?}", image.dim())));
            }
        }
        let factor = deviation.map(|d| input.scale / d);
        let prepare = Prepare { crop: input.crop, bgr: input.bgr, factor, mean };
        Ok(Self { size, prepare, mean_image })
    }

    /// Views of image `image` for a choice of crops.
    pub fn views(&self, views: Views, image: u32) -> Vec<View> {
        let margin = (self.size - self.prepare.crop) as u32;
        let centre = margin / 2;
        let places = [(0, 0), (margin, 0), (0, margin), (margin, margin), (centre, centre)];
        match views {
            Views::Centre => vec![View::crop(image, centre, centre, false)],
            Views::Ten => [false, true]
                .into_iter()
                .flat_map(|mirror| places.map(|(left, top)| View::crop(image, left, top, mirror)))
                .collect(),
        }
    }

    /// Difference between the side lengths of image and crop.
    pub(super) fn margin(&self) -> usize {
        self.size - self.prepare.crop
    }

    /// Number of values of a crop.
    pub(super) fn values(&self) -> usize {
        self.prepare.crop * self.prepare.crop * 3
    }

    /// Writes each view of an image to `out`.
    pub(super) fn apply(&self, pixels: &[u8], views: &[View], out: &mut [f32]) {
        let layout = Layout { size: self.size, crop: self.prepare.crop, bgr: self.prepare.bgr };
        let mean = self.mean_image.as_ref().and_then(|mean| mean.as_slice());
        for (view, out) in views.iter().zip(out.chunks_exact_mut(self.values())) {
            self.prepare.cut(self.size, view).write(layout, pixels, mean, out);
        }
    }
}

/// Crops one image of `size * size * 3` bytes into `[views, crop, crop, 3]`, as a loader does without augmentation.
///
/// # Errors
/// [`Error::Option`] if the image has another size or the crop or mean image does not fit it.
pub fn views(image: &[u8], size: usize, input: &Input, views: Views) -> Result<Array4<f32>> {
    let preparation = Preparation::new(input, size)?;
    if Some(image.len()) != size.checked_mul(size).and_then(|n| n.checked_mul(3)) {
        return Err(Error::option("image", format!("{size} x {size} x 3 bytes"), format!("{} bytes", image.len())));
    }
    let mut values = vec![0.0; views.count() * preparation.values()];
    preparation.apply(image, &preparation.views(views, 0), &mut values);
    Array4::from_shape_vec((views.count(), input.crop, input.crop, 3), values)
        .map_err(|e| Error::option("crop", "a crop that fits", e))
}
