//! The batches a loader makes.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use ndarray::{Array4, Ix4};
use tensor::ops::View;

use super::augment::MixedLabel;
use super::buffer_pool::BufferPool;
use crate::error::{Error, Result};

/// A batch of normalized images. Its memory is reused for a later batch after it is dropped.
pub struct Batch {
    /// Images, `[n * views, crop, crop, 3]`; the views of an image are consecutive.
    pub images: Array4<f32>,
    /// Label of each image, `n` in all.
    pub labels: Vec<u32>,
    /// Index of each image in the pack.
    pub indices: Vec<u64>,
    /// Second label of each image with [`MixupCutmix`](super::MixupCutmix); otherwise empty.
    pub mixed: Vec<MixedLabel>,
    pool: Option<Arc<BufferPool<f32>>>,
}

impl Batch {
    /// Makes a batch of images outside a pack, one view each: `images` is `[n, crop, crop, 3]`, with n labels and n
    /// indices.
    pub fn from_images(images: Array4<f32>, labels: Vec<u32>, indices: Vec<u64>) -> Self {
        Self { images, labels, indices, mixed: Vec::new(), pool: None }
    }

    /// Makes a batch of a buffer from `pool`, which is returned there on drop.
    pub(super) fn new(
        shape: [usize; 4],
        values: Vec<f32>,
        labels: Vec<u32>,
        indices: Vec<u64>,
        mixed: Vec<MixedLabel>,
        pool: &Arc<BufferPool<f32>>,
    ) -> Result<Self> {
        let images = Array4::from_shape_vec(Ix4(shape[0], shape[1], shape[2], shape[3]), values)
            .map_err(|e| Error::option("batch", format!("{shape:?}"), e))?;
        Ok(Self { images, labels, indices, mixed, pool: Some(Arc::clone(pool)) })
    }

    /// Takes the images out of the batch, leaving an empty array.
    pub fn take_images(&mut self) -> Array4<f32> {
        std::mem::take(&mut self.images)
    }
}

impl Debug for Batch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shape = self.images.shape();
        f.debug_struct("Batch").field("images", &shape).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.put(std::mem::take(&mut self.images).into_raw_vec_and_offset().0);
        }
    }
}

/// A batch of stored images (with the pixel augmentations of [`Augment`](super::Augment) applied) and the views to cut
/// from them, from which a device makes the network's input with
/// [`RawImages::prepare`](tensor::ops::RawImages::prepare). Its memory is reused for a later batch after it is dropped.
pub struct RawBatch {
    /// Side length of the images in pixels.
    pub size: usize,
    /// Pixels, `[n, size, size, 3]`: rows from the top, channels R, G, B. With pixel augmentation, pixels outside the
    /// view are unspecified.
    pub pixels: Vec<u8>,
    /// Views that make up the network's input, those of an image consecutive. `image` is the position in this batch.
    pub views: Vec<View>,
    /// Label of each image, `n` in all.
    pub labels: Vec<u32>,
    /// Index of each image in the pack.
    pub indices: Vec<u64>,
    /// Second label of each image with [`MixupCutmix`](super::MixupCutmix); otherwise empty.
    pub mixed: Vec<MixedLabel>,
    pub(super) pool: Arc<BufferPool<u8>>,
}

impl Debug for RawBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shape = [self.labels.len(), self.size, self.size, 3];
        f.debug_struct("RawBatch").field("pixels", &shape).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Drop for RawBatch {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.pixels));
    }
}

/// A batch of 8-bit crops, with the normalization left to do. Its memory is reused for a later batch after it is
/// dropped.
pub struct CropBatch {
    /// Side length of the crops in pixels.
    pub crop: usize,
    /// Pixels, `[n * views, crop, crop, 3]`: cropped and mirrored, channels R, G, B; the views of an image are
    /// consecutive.
    pub pixels: Vec<u8>,
    /// View of each crop. Its position and mirroring have been applied; its colour shift and damping have not.
    pub views: Vec<View>,
    /// Label of each image, `n` in all.
    pub labels: Vec<u32>,
    /// Index of each image in the pack.
    pub indices: Vec<u64>,
    /// Second label of each image with [`MixupCutmix`](super::MixupCutmix); otherwise empty.
    pub mixed: Vec<MixedLabel>,
    pub(super) pool: Arc<BufferPool<u8>>,
}

impl Debug for CropBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shape = [self.views.len(), self.crop, self.crop, 3];
        f.debug_struct("CropBatch").field("pixels", &shape).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Drop for CropBatch {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.pixels));
    }
}
