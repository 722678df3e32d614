//! The input of networks: which crops, and their values as floats.

use crop::{CropAndNormalize, CropParams, HostImages, Mean};
use ndarray::{Array3, Array4};
use rayon::prelude::*;

use super::options::Layout;
use crate::error::{Error, Result};

/// Crops taken from an image without random cropping.
///
/// ```
/// use alexnet_data::Views;
///
/// let crops = Views::Ten.crops(256, 224, 0);
/// assert_eq!((crops.len(), crops[3].left, crops[4].top, crops[9].mirror), (10, 32, 16, true));
/// let [centre, mirrored] = Views::CentreMirrored.crops(256, 224, 0)[..] else { panic!("two crops") };
/// assert_eq!((centre.left, centre.top, centre.mirror), (16, 16, false));
/// assert_eq!((mirrored.left, mirrored.top, mirrored.mirror), (16, 16, true));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Views {
    /// The centre crop.
    #[default]
    Centre,
    /// The four corners (upper left, upper right, lower left, lower right) and the centre, then the same mirrored
    /// (paper, section 4.1).
    Ten,
    /// The centre crop and its mirror image.
    CentreMirrored,
}

impl Views {
    /// Number of crops per image.
    pub fn count(self) -> usize {
        match self {
            Self::Centre => 1,
            Self::Ten => 10,
            Self::CentreMirrored => 2,
        }
    }

    /// The crops of these that differ: of ten of the size of the image, the image and its mirror image. The mean over them
    /// is that over all.
    ///
    /// ```
    /// use alexnet_data::Views;
    ///
    /// assert_eq!(Views::Ten.distinct(32, 32), Views::CentreMirrored);
    /// assert_eq!(Views::Ten.distinct(32, 31), Views::Ten);
    /// ```
    pub fn distinct(self, size: usize, crop: usize) -> Self {
        match self {
            Self::Ten if crop >= size => Self::CentreMirrored,
            _ => self,
        }
    }

    /// The crops of `crop` x `crop` from image `image`, of `size` x `size`.
    pub fn crops(self, size: usize, crop: usize, image: u32) -> Vec<CropParams> {
        let margin = size.saturating_sub(crop) as u32;
        let centre = margin / 2;
        let positions = [(0, 0), (margin, 0), (0, margin), (margin, margin), (centre, centre)];
        let at = |mirror: bool| positions.map(|(left, top)| CropParams::new(image, left, top, mirror));
        let centred = |mirror: bool| CropParams::new(image, centre, centre, mirror);
        match self {
            Self::Centre => vec![centred(false)],
            Self::CentreMirrored => vec![centred(false), centred(true)],
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

/// The settings with which crops are written.
#[derive(Clone, Copy)]
pub(super) struct CropWriter<'a> {
    pub input: &'a CropAndNormalize,
    /// The input's normalized mean image.
    pub mean: Option<&'a Array3<f32>>,
    pub layout: Layout,
}

impl CropWriter<'_> {
    /// Writes crops of images of `size` x `size` to `out`, on the threads of the current pool.
    pub fn write_batch(self, images: &dyn HostImages, size: usize, crops: &[CropParams], out: &mut [f32]) {
        let mean = self.mean.and_then(|mean| mean.as_slice());
        let len = self.input.crop_len();
        let crops = out.par_chunks_exact_mut(len).zip(crops);
        match self.layout {
            Layout::Nhwc => crops.for_each(|(out, crop)| {
                self.input.write_crop(size, images.image(crop.image as usize), crop, mean, out);
            }),
            Layout::Nchw => crops.for_each_init(
                || vec![0.0f32; len],
                |pixels, (out, crop)| {
                    self.input.write_crop(size, images.image(crop.image as usize), crop, mean, pixels);
                    write_planes(pixels, out);
                },
            ),
        }
    }

    /// Writes the crops of one image of `size` x `size` to `out`.
    pub fn write_views(self, image: &[u8], size: usize, crops: &[CropParams], out: &mut [f32]) {
        let mean = self.mean.and_then(|mean| mean.as_slice());
        let len = self.input.crop_len();
        let mut pixels = match self.layout {
            Layout::Nhwc => Vec::new(),
            Layout::Nchw => vec![0.0; len],
        };
        for (out, crop) in out.chunks_exact_mut(len).zip(crops) {
            match self.layout {
                Layout::Nhwc => self.input.write_crop(size, image, crop, mean, out),
                Layout::Nchw => {
                    self.input.write_crop(size, image, crop, mean, &mut pixels);
                    write_planes(&pixels, out);
                }
            }
        }
    }
}

/// Writes the channels of pixels one after another.
fn write_planes(pixels: &[f32], out: &mut [f32]) {
    let plane = (out.len() / 3).max(1);
    for (c, out) in out.chunks_exact_mut(plane).enumerate() {
        out.iter_mut().zip(pixels[c..].iter().step_by(3)).for_each(|(value, &pixel)| *value = pixel);
    }
}

/// Crops and normalizes images in host memory, as [`Loader::crops`](crate::Loader::crops) does for a batch: an array of
/// the layout's shape. It uses rayon's global thread pool.
///
/// ```
/// use alexnet_data::{CropAndNormalize, CropParams, HostImages, Layout, crop_images};
///
/// /// Two grey images of 4 x 4.
/// #[derive(Debug)]
/// struct Pair([[u8; 48]; 2]);
///
/// impl HostImages for Pair {
///     fn count(&self) -> usize {
///         2
///     }
///
///     fn image(&self, index: usize) -> &[u8] {
///         &self.0[index]
///     }
/// }
///
/// let images = Pair([[10; 48], [20; 48]]);
/// let crops = [CropParams::new(1, 0, 2, true), CropParams { shift: [5.0; 3], ..CropParams::new(0, 1, 1, false) }];
/// let values = crop_images(&images, 4, &CropAndNormalize::crop_only(2), &crops, Layout::Nchw)?;
/// assert_eq!(values.shape(), [2, 3, 2, 2]);
/// assert_eq!((values[[0, 0, 0, 0]], values[[1, 2, 1, 1]]), (20.0, 15.0));
/// # Ok::<(), alexnet_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Option`] if an image has another size, or a crop does not lie within an image, or crop or mean image do not
/// fit the images.
pub fn crop_images(
    images: &dyn HostImages,
    size: usize,
    input: &CropAndNormalize,
    crops: &[CropParams],
    layout: Layout,
) -> Result<Array4<f32>> {
    check(input, size)?;
    (0..images.count()).try_for_each(|index| check_length(images.image(index), size))?;
    let margin = size - input.crop;
    let fits = |crop: &&CropParams| {
        (crop.image as usize) < images.count() && crop.left as usize <= margin && crop.top as usize <= margin
    };
    if let Some(crop) = crops.iter().find(|crop| !fits(crop)) {
        let expected = format!("crops of {} within {} images of {size} x {size}", input.crop, images.count());
        return Err(Error::option("crops", expected, format!("{crop:?}")));
    }
    let mut values = vec![0.0; crops.len() * input.crop_len()];
    let mean = input.normalized_mean_image();
    CropWriter { input, mean: mean.as_ref(), layout }.write_batch(images, size, crops, &mut values);
    to_array(layout.shape(crops.len(), input.crop), values)
}

/// Checks that an image has `size * size * 3` bytes.
fn check_length(image: &[u8], size: usize) -> Result<()> {
    if Some(image.len()) == size.checked_mul(size).and_then(|n| n.checked_mul(3)) {
        return Ok(());
    }
    Err(Error::option("image", format!("{size} x {size} x 3 bytes"), format!("{} bytes", image.len())))
}

/// Crops one image of `size * size * 3` bytes into `[views, crop, crop, 3]`, as a loader does without augmentation.
///
/// ```
/// use alexnet_data::{CropAndNormalize, Mean, Views, crop_image};
///
/// let input = CropAndNormalize { mean: Mean::Rgb([128.0; 3]), ..CropAndNormalize::crop_only(4) };
/// let crops = crop_image(&[130; 6 * 6 * 3], 6, &input, Views::Ten)?;
/// assert_eq!((crops.shape(), crops[[9, 0, 0, 2]]), (&[10, 4, 4, 3][..], 2.0));
/// # Ok::<(), alexnet_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Option`] if the image has another size or the crop or mean image does not fit it.
pub fn crop_image(image: &[u8], size: usize, input: &CropAndNormalize, views: Views) -> Result<Array4<f32>> {
    check(input, size)?;
    check_length(image, size)?;
    let mut values = vec![0.0; views.count() * input.crop_len()];
    let mean = input.normalized_mean_image();
    let mean = mean.as_ref().and_then(|mean| mean.as_slice());
    let crops = views.crops(size, input.crop, 0);
    for (crop, out) in crops.iter().zip(values.chunks_exact_mut(input.crop_len())) {
        input.write_crop(size, image, crop, mean, out);
    }
    to_array(Layout::Nhwc.shape(views.count(), input.crop), values)
}

/// The values of crops as an array of this shape.
pub(super) fn to_array(shape: [usize; 4], values: Vec<f32>) -> Result<Array4<f32>> {
    Array4::from_shape_vec(shape, values).map_err(|e| Error::option("batch", format!("{shape:?}"), e))
}
