//! Augmentations that users write.

use std::fmt::Debug;
use std::sync::Arc;

use ndarray::{ArrayViewMut3, ShapeBuilder};
use random::{Stream, purpose};

use super::rect::CropRect;
use super::rng::SampleRng;
use super::{Augment, SampleKey};
use crate::error::{Error, Result};

/// First random purpose of own augmentations, one for each in the order of [`Augment::own`].
const OWN_PURPOSE: u32 = purpose::AUGMENT + 0x0c00_0000;

/// An own augmentation of the 8-bit pixels of a crop. It runs on the loader's threads, at the place of
/// [`Augment::own`] in the chain: before mirroring, colour noise and normalization, which follow for all pixels.
///
/// ```
/// use alexnet_data::ndarray::ArrayViewMut3;
/// use alexnet_data::{Augment, PixelAugmentation, SampleRng};
///
/// /// Inverts the colours of some images.
/// #[derive(Debug)]
/// struct Invert {
///     probability: f64,
/// }
///
/// impl PixelAugmentation for Invert {
///     fn apply(&self, mut pixels: ArrayViewMut3<'_, u8>, rng: &mut SampleRng) {
///         if rng.uniform() < self.probability {
///             pixels.mapv_inplace(|value| 255 - value);
///         }
///     }
/// }
///
/// let augment = Augment { random_crop: true, ..Augment::default() }.with(Invert { probability: 0.1 });
/// assert_eq!(augment.own.len(), 1);
/// ```
pub trait PixelAugmentation: Debug + Send + Sync {
    /// Changes the pixels of one crop, `[side, side, 3]`: rows from the top, channels R, G, B. The rows lie apart in
    /// memory; each is a slice. `rng` is determined by (seed, epoch, index of the image, place in the chain), so the
    /// result is the same for any number of threads as long as it depends on nothing else.
    fn apply(&self, pixels: ArrayViewMut3<'_, u8>, rng: &mut SampleRng);
}

impl Augment {
    /// Adds an own augmentation to the end of [`own`](Self::own).
    pub fn with(mut self, augmentation: impl PixelAugmentation + 'static) -> Self {
        self.own.push(Arc::new(augmentation));
        self
    }

    /// Runs the own augmentations on a crop of an image.
    pub(in crate::loader) fn apply_own(&self, key: SampleKey, crop: CropRect, image: &mut [u8]) -> Result<()> {
        for (number, augmentation) in (0..).zip(&self.own) {
            let stream = Stream { purpose: OWN_PURPOSE + number, ..Self::stream(key.seed, key.epoch, key.index) };
            let shape = (crop.side, crop.side, 3).strides((3 * crop.size, 3, 1));
            let pixels = ArrayViewMut3::from_shape(shape, &mut image[crop.row(0).start..]);
            let pixels = pixels.map_err(|e| Error::option("crop", "a part of the image", e))?;
            augmentation.apply(pixels, &mut SampleRng::of(stream));
        }
        Ok(())
    }
}
