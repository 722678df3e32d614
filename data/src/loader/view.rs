//! From stored bytes to the floats of a crop, in one pass.

use ndarray::Array4;

use super::augment::Draw;
use super::input::{Input, Mean, Views};
use crate::error::{Error, Result};

/// [`Input`] made ready: the value of a pixel is `damping * (pixel * factor + shift * factor - mean)`, where `factor` is
/// `scale / deviation` and `mean` is already divided.
#[derive(Debug)]
pub(super) struct Normalise {
    size: usize,
    crop: usize,
    bgr: bool,
    factor: [f32; 3],
    /// By row of the stored picture; `None` if the mean is of colours.
    mean_image: Option<Vec<f32>>,
    mean_rgb: [f32; 3],
}

impl Normalise {
    /// For stored pictures of `size` x `size`.
    pub fn new(input: &Input, size: usize) -> Result<Self> {
        if input.crop == 0 || input.crop > size {
            return Err(Error::option("crop", format!("1 to {size}, the pictures' size"), input.crop));
        }
        let deviation = input.deviation.unwrap_or([1.0; 3]);
        let usable = |v: &f32| v.is_finite() && *v != 0.0;
        if !deviation.iter().all(usable) || !usable(&input.scale) {
            let got = format!("scale {} and deviation {deviation:?}", input.scale);
            return Err(Error::option("input", "a scale and a deviation that are finite and not zero", got));
        }
        let (mut mean_image, mut mean_rgb) = (None, [0.0; 3]);
        match &input.mean {
            Mean::None => {}
            Mean::Rgb(mean) => mean_rgb = std::array::from_fn(|c| mean[c] / deviation[c]),
            Mean::Image(image) if image.dim() == (size, size, 3) => {
                mean_image = Some(image.iter().enumerate().map(|(i, v)| v / deviation[i % 3]).collect());
            }
            Mean::Image(image) => {
                let expected = format!("{size} x {size} x 3, the pictures' size");
                return Err(Error::option("mean image", expected, format!("{:?}", image.dim())));
            }
        }
        let factor = deviation.map(|d| input.scale / d);
        Ok(Self { size, crop: input.crop, bgr: input.bgr, factor, mean_image, mean_rgb })
    }

    pub fn crop(&self) -> usize {
        self.crop
    }

    /// Values of a crop.
    pub fn values(&self) -> usize {
        self.crop * self.crop * 3
    }

    /// Fills `out` with each view in turn.
    pub fn all_views(&self, pixels: &[u8], views: Views, out: &mut [f32]) {
        let margin = self.size - self.crop;
        let (end, centre) = (margin, margin / 2);
        let places = [(0, 0), (end, 0), (0, end), (end, end), (centre, centre)];
        let draws = match views {
            Views::Centre => vec![Draw::crop(centre, centre, false)],
            Views::Ten => [false, true]
                .into_iter()
                .flat_map(|mirror| places.map(|(left, top)| Draw::crop(left, top, mirror)))
                .collect(),
        };
        for (draw, out) in draws.iter().zip(out.chunks_exact_mut(self.values())) {
            self.apply(pixels, draw, out);
        }
    }

    /// Fills `out` with one crop.
    pub fn apply(&self, pixels: &[u8], draw: &Draw, out: &mut [f32]) {
        let width = 3 * self.crop;
        // By value of a row, so that the inner loop knows nothing of colours.
        let colours = |f: &dyn Fn(usize) -> f32| (0..width).map(|i| f(i % 3)).collect::<Vec<f32>>();
        let factor = colours(&|c| self.factor[c] * draw.damping);
        let offset = colours(&|c| (draw.shift[c] * self.factor[c] - self.mean_rgb[c]) * draw.damping);
        let mut values = vec![0.0; width];
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let start = 3 * ((draw.top + row) * self.size + draw.left);
            let target = if draw.mirror || self.bgr { &mut values[..] } else { &mut *out };
            let row = pixels[start..start + width].iter().zip(&factor).zip(&offset);
            match &self.mean_image {
                Some(mean) => {
                    let mean = &mean[start..start + width];
                    for ((value, ((&pixel, factor), offset)), mean) in target.iter_mut().zip(row).zip(mean) {
                        *value = f32::from(pixel) * factor + (offset - mean * draw.damping);
                    }
                }
                None => {
                    for (value, ((&pixel, factor), offset)) in target.iter_mut().zip(row) {
                        *value = f32::from(pixel) * factor + offset;
                    }
                }
            }
            match (draw.mirror, self.bgr) {
                (false, false) => {}
                (false, true) => exchange(values.chunks_exact(3), out, [2, 1, 0]),
                (true, false) => exchange(values.chunks_exact(3).rev(), out, [0, 1, 2]),
                (true, true) => exchange(values.chunks_exact(3).rev(), out, [2, 1, 0]),
            }
        }
    }
}

fn exchange<'a>(from: impl Iterator<Item = &'a [f32]>, to: &mut [f32], order: [usize; 3]) {
    for (to, from) in to.chunks_exact_mut(3).zip(from) {
        to[0] = from[order[0]];
        to[1] = from[order[1]];
        to[2] = from[order[2]];
    }
}

/// The crops of one picture of `size * size * 3` bytes, `[views, crop, crop, 3]`: what a loader would give without
/// augmentation.
///
/// # Errors
/// [`Error::Option`] if the picture is not of that size or the crop or mean image does not fit it.
pub fn views(picture: &[u8], size: usize, input: &Input, views: Views) -> Result<Array4<f32>> {
    let normalise = Normalise::new(input, size)?;
    if Some(picture.len()) != size.checked_mul(size).and_then(|n| n.checked_mul(3)) {
        return Err(Error::option("picture", format!("{size} x {size} x 3 bytes"), format!("{} bytes", picture.len())));
    }
    let mut values = vec![0.0; views.count() * normalise.values()];
    normalise.all_views(picture, views, &mut values);
    Array4::from_shape_vec((views.count(), input.crop, input.crop, 3), values)
        .map_err(|e| Error::option("crop", "a crop that fits", e))
}
