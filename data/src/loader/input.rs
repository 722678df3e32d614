//! The input of networks: which crops, and their values as floats.

use ndarray::{Array3, Array4};
use tensor::ops::{CropAndNormalize, CropParams, Mean};

use crate::error::{Error, Result};

/// Crops taken from an image without random cropping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Views {
    /// The centre crop.
    #[default]
    Centre,
    /// The four corners (upper left, upper right, lower left, lower right) and the centre, then the same mirrored
    /// (paper, section 4.1).
    Ten,
}

impl Views {
    /// Number of crops per image.
    pub fn count(self) -> usize {
        match self {
            Self::Centre => 1,
            Self::Ten => 10,
        }
    }

    /// The crops of `crop` x `crop` from image `image`, of `size` x `size`.
    pub fn crops(self, size: usize, crop: usize, image: u32) -> Vec<CropParams> {
        let margin = size.saturating_sub(crop) as u32;
        let centre = margin / 2;
        let positions = [(0, 0), (margin, 0), (0, margin), (margin, margin), (centre, centre)];
        let at = |mirror: bool| positions.map(|(left, top)| CropParams::new(image, left, top, mirror));
        match self {
            Self::Centre => vec![CropParams::new(image, centre, centre, false)],
            Self::Ten => [false, true].into_iter().flat_map(at).collect(),
        }
    }
}

/// Checks that the crop and the mean fit images of `size` x `size`, and that the normalization is usable.
pub(super) fn check(input: &CropAndNormalize, size: usize) -> Result<()> {
    if input.crop == 0 || input.crop > size {
        return Err(Error::option("crop", format!("1 to {size}, the images' size"), input.crop));
    }
    let deviation = input.deviation.unwrap_or([1.0; 3]);
    let is_usable = |value: &f32| value.is_finite() && *value != 0.0;
    if !deviation.iter().all(is_usable) || !is_usable(&input.scale) {
        let got = format!("scale {} and deviation {deviation:?}", input.scale);
        return Err(Error::option("input", "a scale and a deviation that are finite and not zero", got));
    }
    match &input.mean {
        Mean::Image(image) if image.dim() != (size, size, 3) => {
            let expected = format!("{size} x {size} x 3, the images' size");
            Err(Error::option("mean image", expected, format!("{:?}", image.dim())))
        }
        Mean::None | Mean::Rgb(_) | Mean::Image(_) => Ok(()),
    }
}

/// Writes crops of one image to `out`, `[crops, crop, crop, 3]`. `mean` is the input's normalized mean image.
pub(super) fn write_crops(
    input: &CropAndNormalize,
    mean: Option<&Array3<f32>>,
    size: usize,
    image: &[u8],
    crops: &[CropParams],
    out: &mut [f32],
) {
    let mean = mean.and_then(|mean| mean.as_slice());
    for (crop, out) in crops.iter().zip(out.chunks_exact_mut(input.crop_len())) {
        input.write_crop(size, image, crop, mean, out);
    }
}

/// Crops one image of `size * size * 3` bytes into `[views, crop, crop, 3]`, as a loader does without augmentation.
///
/// # Errors
/// [`Error::Option`] if the image has another size or the crop or mean image does not fit it.
pub fn crop_image(image: &[u8], size: usize, input: &CropAndNormalize, views: Views) -> Result<Array4<f32>> {
    check(input, size)?;
    if Some(image.len()) != size.checked_mul(size).and_then(|n| n.checked_mul(3)) {
        return Err(Error::option("image", format!("{size} x {size} x 3 bytes"), format!("{} bytes", image.len())));
    }
    let mut values = vec![0.0; views.count() * input.crop_len()];
    let mean = input.normalized_mean_image();
    write_crops(input, mean.as_ref(), size, image, &views.crops(size, input.crop, 0), &mut values);
    to_array(views.count(), input.crop, values)
}

/// The values of `n` crops as an array `[n, crop, crop, 3]`.
pub(super) fn to_array(n: usize, crop: usize, values: Vec<f32>) -> Result<Array4<f32>> {
    let shape = (n, crop, crop, 3);
    Array4::from_shape_vec(shape, values).map_err(|e| Error::option("batch", format!("{shape:?}"), e))
}
