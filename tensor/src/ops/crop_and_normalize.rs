//! The input of a network from stored images: crop, horizontal flip, colour shift and normalization in one pass (paper,
//! sections 2 and 4.1).

#[cfg(feature = "gpu")]
pub(crate) use crop::Coefficients;
pub use crop::{CropAndNormalize, CropParams, Mean};

use crate::images::ImageMemory;
use crate::tensor::element_count;
use crate::{Alloc, Backend, DeviceImages, Element, Error, Handle, HostImages, Operation, Result, Tensor};

const OP: &str = "crop and normalize";

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
