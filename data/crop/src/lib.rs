#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod rows;

use std::fmt::Debug;

use ndarray::Array3;

pub use ndarray;

/// The input that a network expects: a square crop of each image, of values `(pixel * scale - mean) / deviation` for
/// pixels of 0 to 255. Channels are R, G, B throughout; `bgr` reverses them in the output.
///
/// ```
/// use alexnet_crop::{CropAndNormalize, Mean};
///
/// let input = CropAndNormalize { mean: Mean::Rgb([123.7, 116.8, 103.9]), ..CropAndNormalize::crop_only(224) };
/// assert_eq!(input.crop_len(), 224 * 224 * 3);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CropAndNormalize {
    /// Side length of the crop in pixels; 224 in the paper.
    pub crop: usize,
    /// Output channels in the order blue, green, red.
    pub bgr: bool,
    /// Factor applied to the pixels.
    pub scale: f32,
    /// Mean to subtract from the scaled pixels.
    pub mean: Mean,
    /// Standard deviations to divide R, G and B by; `None` for no division.
    pub deviation: Option<[f32; 3]>,
}

/// Mean to subtract from the scaled pixels.
#[derive(Clone, Debug, PartialEq)]
pub enum Mean {
    /// No mean.
    None,
    /// One value each for R, G and B.
    Rgb([f32; 3]),
    /// An image `[size, size, 3]` of the same size as the stored images (paper, section 2), cropped and mirrored like
    /// them.
    Image(Array3<f32>),
}

/// The crop of one image, and its draws of flip and colour.
///
/// ```
/// use alexnet_crop::CropParams;
///
/// // The third image of a batch, 16 pixels from the left and from the top, mirrored, a bit redder.
/// let crop = CropParams { shift: [4.0, 0.0, 0.0], ..CropParams::new(2, 16, 16, true) };
/// assert_eq!(crop.start(256), 3 * (16 * 256 + 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropParams {
    /// Position of the image in its batch.
    pub image: u32,
    /// Rows above the crop.
    pub top: u32,
    /// Columns left of the crop.
    pub left: u32,
    /// Whether the crop is flipped horizontally.
    pub mirror: bool,
    /// Shift of R, G and B, on the scale of 0 to 255, before normalization.
    pub shift: [f32; 3],
    /// Factor applied to the normalized values.
    pub damping: f32,
}

impl CropParams {
    /// A crop without shift or damping.
    pub fn new(image: u32, left: u32, top: u32, mirror: bool) -> Self {
        Self { image, top, left, mirror, shift: [0.0; 3], damping: 1.0 }
    }

    /// Position of the crop's first byte in an image of `size` x `size`.
    pub fn start(&self, size: usize) -> usize {
        3 * (self.top as usize * size + self.left as usize)
    }
}

/// Factor and offset of each channel of one crop: a value is `pixel * factor + offset`, or with a mean image
/// `pixel * factor + (offset - mean * damping)`, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Factors of R, G and B.
    pub factor: [f32; 3],
    /// Offsets of R, G and B.
    pub offset: [f32; 3],
    /// Factor of the [normalized mean image](CropAndNormalize::normalized_mean_image).
    pub damping: f32,
}

impl CropAndNormalize {
    /// A crop of the pixels as they are.
    pub fn crop_only(crop: usize) -> Self {
        Self { crop, bgr: false, scale: 1.0, mean: Mean::None, deviation: None }
    }

    /// Number of values in a crop.
    pub fn crop_len(&self) -> usize {
        3 * self.crop * self.crop
    }

    /// The mean image divided by the deviations, if the mean is an image.
    pub fn normalized_mean_image(&self) -> Option<Array3<f32>> {
        let Mean::Image(image) = &self.mean else { return None };
        let deviation = self.deviation.unwrap_or([1.0; 3]);
        Some(Array3::from_shape_fn(image.dim(), |at| image[at] / deviation[at.2]))
    }

    /// The factors and terms that a kernel applies to the pixels of a crop.
    ///
    /// ```
    /// use alexnet_crop::{CropAndNormalize, CropParams, Mean};
    ///
    /// let mean = Mean::Rgb([100.0, 50.0, 20.0]);
    /// let input = CropAndNormalize { mean, deviation: Some([2.0; 3]), ..CropAndNormalize::crop_only(8) };
    /// let coefficients = input.coefficients(&CropParams::new(0, 0, 0, false));
    /// assert_eq!((coefficients.factor, coefficients.offset), ([0.5; 3], [-50.0, -25.0, -10.0]));
    /// ```
    pub fn coefficients(&self, crop: &CropParams) -> Coefficients {
        let deviation = self.deviation.unwrap_or([1.0; 3]);
        let mean = match self.mean {
            Mean::Rgb(rgb) => rgb,
            Mean::None | Mean::Image(_) => [0.0; 3],
        };
        let factor = deviation.map(|deviation| self.scale / deviation);
        let offset = |c: usize| (crop.shift[c] * factor[c] - mean[c] / deviation[c]) * crop.damping;
        Coefficients {
            factor: factor.map(|factor| factor * crop.damping),
            offset: std::array::from_fn(offset),
            damping: crop.damping,
        }
    }
}

/// Square RGB images in host memory, such as records of a memory-mapped file.
///
/// ```
/// use alexnet_crop::HostImages;
///
/// /// Images of 32 x 32 pixels, one after another.
/// #[derive(Debug)]
/// struct Small(Vec<u8>);
///
/// impl HostImages for Small {
///     fn count(&self) -> usize {
///         self.0.len() / (32 * 32 * 3)
///     }
///
///     fn image(&self, index: usize) -> &[u8] {
///         &self.0[index * 32 * 32 * 3..][..32 * 32 * 3]
///     }
/// }
///
/// assert_eq!(Small(vec![0; 2 * 32 * 32 * 3]).image(1).len(), 32 * 32 * 3);
/// ```
pub trait HostImages: Debug + Send + Sync {
    /// Number of images.
    fn count(&self) -> usize;
    /// Bytes of image `index`, `[size, size, 3]`: rows from the top, channels R, G, B.
    fn image(&self, index: usize) -> &[u8];
}
