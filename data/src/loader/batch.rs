//! Batches of images.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use crop::CropParams;
use crop::HostImages;

use super::augment::MixedLabel;
use super::buffer_pool::PooledBuffer;
use crate::dataset::Dataset;
use crate::error::Result;

/// A batch of images and the crops to make from them. [`Loader::crops`](super::Loader::crops) makes them on the CPU, an
/// `InputTransform` of `alexnet-tensor` on a device. `I` is where the images are: in host memory, or on a
/// device.
#[derive(Debug)]
pub struct Batch<I = Arc<StoredImages>> {
    /// The images, `n` in all. With pixel augmentation, pixels outside their crops are unspecified.
    pub images: I,
    /// Crops that make up the network's input, those of an image consecutive.
    pub crops: Vec<CropParams>,
    /// Label of each image.
    pub labels: Vec<u32>,
    /// Index of each image in the data set.
    pub indices: Vec<u64>,
    /// Second label of each image with [`MixupCutmix`](super::MixupCutmix); otherwise empty.
    pub mixed: Vec<MixedLabel>,
}

impl<I> Batch<I> {
    /// Moves the images, for example to a device.
    ///
    /// # Errors
    /// Those of `place`.
    pub fn map_images<J, E>(self, place: impl FnOnce(I) -> Result<J, E>) -> Result<Batch<J>, E> {
        let Self { images, crops, labels, indices, mixed } = self;
        Ok(Batch { images: place(images)?, crops, labels, indices, mixed })
    }
}

/// The images of a batch in host memory: those of the data set if it has them in memory, as records of a mapped pack are,
/// or, if they had to be decoded or augmented, a buffer, which is reused for a later batch after it is dropped.
pub struct StoredImages {
    pub(super) dataset: Arc<dyn Dataset>,
    /// Indices in the data set.
    pub(super) indices: Vec<u64>,
    /// Decoded or augmented images, one after another; `None` for images that the data set has in memory.
    pub(super) decoded: Option<PooledBuffer>,
}

impl StoredImages {
    /// Side length of the images in pixels.
    pub fn size(&self) -> usize {
        self.dataset.size()
    }

    /// Checks that the images were not modified since the data set was opened. Called after reading them, it confirms that
    /// the bytes read were valid.
    ///
    /// # Errors
    /// [`Error::Truncated`](crate::Error::Truncated) or [`Error::Changed`](crate::Error::Changed).
    pub fn check_unchanged(&self) -> Result<()> {
        match self.decoded {
            Some(_) => Ok(()),
            None => self.dataset.check_unchanged(&self.indices),
        }
    }
}

impl HostImages for StoredImages {
    fn count(&self) -> usize {
        self.indices.len()
    }

    fn image(&self, index: usize) -> &[u8] {
        let bytes = self.size() * self.size() * 3;
        match &self.decoded {
            Some(decoded) => &decoded[index * bytes..][..bytes],
            None => self.dataset.pixels_in_memory(self.indices[index] as usize),
        }
    }
}

impl Drop for StoredImages {
    fn drop(&mut self) {
        if self.decoded.is_none() {
            self.dataset.release(self.indices.len());
        }
    }
}

impl Debug for StoredImages {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shape = [self.indices.len(), self.size(), self.size(), 3];
        f.debug_struct("StoredImages").field("shape", &shape).field("indices", &self.indices).finish_non_exhaustive()
    }
}
