//! The input of a network from stored images: crop, horizontal flip, colour shift and normalization in one pass (paper,
//! sections 2 and 4.1).

use ndarray::Array3;

use crate::images::ImageMemory;
use crate::tensor::element_count;
use crate::{Alloc, Backend, DeviceImages, Element, Error, Handle, HostImages, Operation, Result, Tensor};

const OP: &str = "crop and normalize";

/// The input that a network expects: a square crop of each image, of values `(pixel * scale - mean) / deviation` for
/// pixels of 0 to 255. Channels are R, G, B throughout; `bgr` reverses them in the output.
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
    pub(crate) fn start(&self, size: usize) -> usize {
        3 * (self.top as usize * size + self.left as usize)
    }
}

/// Factor and offset of each channel of one crop: a value is `pixel * factor + offset`, or with a mean image
/// `pixel * factor + (offset - mean * damping)`, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients {
    pub factor: [f32; 3],
    pub offset: [f32; 3],
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

    pub(crate) fn coefficients(&self, crop: &CropParams) -> Coefficients {
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

/// A [`CropAndNormalize`] on a device, with the mean image in its memory.
#[derive(Clone, Debug)]
pub struct InputTransform<B: Backend> {
    /// Without the mean image.
    settings: CropAndNormalize,
    mean_image: Option<Tensor<B>>,
}

impl<B: Backend> InputTransform<B> {
    /// Copies the mean image to the device, if there is one.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(device: &B, settings: &CropAndNormalize) -> Result<Self> {
        let mean_image = match settings.normalized_mean_image() {
            Some(image) => {
                let values = image.mapv(|value| B::Scalar::of(f64::from(value)));
                Some(Tensor::from_array(device, values.view().into_dyn())?)
            }
            None => None,
        };
        let mut settings = settings.clone();
        if mean_image.is_some() {
            settings.mean = Mean::None;
        }
        Ok(Self { settings, mean_image })
    }

    /// Makes the network's input, `[crops, crop, crop, 3]` in the format of activations. With the shift and damping of
    /// a crop, a value is `((pixel + shift) * scale - mean) / deviation * damping`.
    ///
    /// # Errors
    /// [`Error::Argument`] if a crop does not lie within an image; [`Error::Shape`] if the mean image is not of the
    /// images' size.
    pub fn apply(&self, images: &DeviceImages<B>, crops: &[CropParams]) -> Result<Tensor<B>> {
        let crop = self.settings.crop;
        let size = images.size();
        if crop == 0 || crop > size {
            return Err(Error::argument(OP, format!("the crop must be 1 to {size}, got {crop}")));
        }
        if let Some(mean) = &self.mean_image
            && mean.shape() != [size, size, 3]
        {
            return Err(Error::shape(OP, format!("a mean image of {size} x {size} x 3"), mean.shape()));
        }
        for params in crops {
            let margin = size - crop;
            let fits = params.top as usize <= margin && params.left as usize <= margin;
            if !fits || params.image as usize >= images.len() {
                let images = format!("{} images of {size} x {size}", images.len());
                let what = format!("expected a crop of {crop} within {images}, got {params:?}");
                return Err(Error::argument(OP, what));
            }
        }
        let shape = vec![crops.len(), crop, crop, 3];
        element_count(OP, &shape)?;
        let mean = self.mean_image.as_ref().map(|mean| &mean.data);
        let (host_images, buffer) = match images.memory() {
            ImageMemory::Host(images) => (Some(&**images), None),
            ImageMemory::Device(buffer) => (None, Some(buffer)),
        };
        let op = CropAndNormalizeImages { settings: &self.settings, size, crops, host_images };
        let device = images.device();
        let [data] = device.run(&op, ([], buffer, mean))?;
        Ok(Tensor::from_parts(device.clone(), shape, data))
    }
}

/// The operation of [`InputTransform::apply`]: `[crops, crop, crop, 3]` in the format of activations. Operands: the
/// images' bytes, four to an integer, unless they are in host memory; a mean image, if there is one. Output: the
/// values. All crops lie within their images.
#[derive(Clone, Copy, Debug)]
pub struct CropAndNormalizeImages<'a> {
    /// Crop size and normalization.
    pub settings: &'a CropAndNormalize,
    /// Side length of the stored images in pixels.
    pub size: usize,
    /// The crops, in the order of the output.
    pub crops: &'a [CropParams],
    /// The images, for a device that [reads host memory](crate::Device::reads_host_memory).
    pub host_images: Option<&'a dyn HostImages>,
}

impl CropAndNormalizeImages<'_> {
    /// Number of values in the output.
    pub fn output_len(&self) -> usize {
        self.crops.len() * self.settings.crop_len()
    }
}

impl Operation for CropAndNormalizeImages<'_> {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 0], Option<&'a I>, Option<&'a F>);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "crop and normalize"
    }

    /// Each crop is read once; all crops share the mean image.
    fn bytes_read(&self) -> Option<u64> {
        Some(self.output_len() as u64)
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.activations(self.output_len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}
