//! What a loader hands over.

use std::fmt::{Debug, Formatter};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array4, Ix4};
use tensor::ops::View;

use super::vary::Mixed;
use crate::error::{Error, Result};

/// Memory of batches that were dropped: fresh memory costs a page fault every 4 KB.
#[derive(Debug)]
pub(super) struct Spare<T>(Mutex<Vec<Vec<T>>>);

/// The most buffers that are kept.
const MAX_SPARE: usize = 4;

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Copy + Default> Spare<T> {
    /// A buffer of `n` values, whatever they are.
    pub fn take(&self, n: usize) -> Vec<T> {
        let buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match buffer {
            Some(mut buffer) if buffer.capacity() >= n => {
                buffer.resize(n, T::default());
                buffer
            }
            // Not by resizing: this way the system hands out zeros as the threads touch them.
            _ => vec![T::default(); n],
        }
    }

    pub fn put(&self, buffer: Vec<T>) {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < MAX_SPARE {
            buffers.push(buffer);
        }
    }
}

/// Some images, ready for a network. Its memory is used again for a later batch when it is dropped.
pub struct Batch {
    /// `[n * views, crop, crop, 3]`: the views of an image are consecutive.
    pub images: Array4<f32>,
    /// The label of each image, `n` of them.
    pub labels: Vec<u32>,
    /// Where each image stands in the pack.
    pub indices: Vec<u64>,
    /// With [`Mix`](super::Mix), the other image in each; else empty.
    pub mixed: Vec<Mixed>,
    spare: Option<Arc<Spare<f32>>>,
}

impl Batch {
    /// A batch of images that come from no pack, one view of each. `images` is `[n, crop, crop, 3]`; there are n labels
    /// and n indices.
    pub fn of(images: Array4<f32>, labels: Vec<u32>, indices: Vec<u64>) -> Self {
        Self { images, labels, indices, mixed: Vec::new(), spare: None }
    }

    /// Of values that `spare` gave, and gets back.
    pub(super) fn new(
        shape: [usize; 4],
        values: Vec<f32>,
        labels: Vec<u32>,
        indices: Vec<u64>,
        mixed: Vec<Mixed>,
        spare: &Arc<Spare<f32>>,
    ) -> Result<Self> {
        let images = Array4::from_shape_vec(Ix4(shape[0], shape[1], shape[2], shape[3]), values)
            .map_err(|e| Error::option("batch", format!("{shape:?}"), e))?;
        Ok(Self { images, labels, indices, mixed, spare: Some(Arc::clone(spare)) })
    }

    /// The images, to keep. An empty array stays.
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
        if let Some(spare) = self.spare.take() {
            spare.put(std::mem::take(&mut self.images).into_raw_vec_and_offset().0);
        }
    }
}

/// Some images as they are stored (with the changes of [`Augment`](super::Augment) that are made to pixels), and what
/// is to be cut from them: what a device needs to make the network's input itself, with
/// [`RawImages::prepare`](tensor::ops::RawImages::prepare). Its memory is used again for a later batch when it is dropped.
pub struct RawBatch {
    /// Side of the images.
    pub size: usize,
    /// `[n, size, size, 3]`: rows from the top, colours R, G, B. Where pixels are changed, those outside the view are
    /// of no meaning.
    pub pixels: Vec<u8>,
    /// The rows of the network's input, those of an image one after another. `image` is the place in this batch.
    pub views: Vec<View>,
    /// The label of each image, `n` of them.
    pub labels: Vec<u32>,
    /// Where each image stands in the pack.
    pub indices: Vec<u64>,
    /// With [`Mix`](super::Mix), the other image in each; else empty.
    pub mixed: Vec<Mixed>,
    pub(super) spare: Arc<Spare<u8>>,
}

impl Debug for RawBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shape = [self.labels.len(), self.size, self.size, 3];
        f.debug_struct("RawBatch").field("pixels", &shape).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Drop for RawBatch {
    fn drop(&mut self) {
        self.spare.put(std::mem::take(&mut self.pixels));
    }
}

/// The crops of some images as bytes, and what is left to be done to them. Its memory is used again for a later batch
/// when it is dropped.
pub struct CropBatch {
    /// Side of the crops.
    pub crop: usize,
    /// `[n * views, crop, crop, 3]`: cropped and mirrored, colours R, G, B; the views of an image are consecutive.
    pub pixels: Vec<u8>,
    /// Where each crop was cut from its stored image and whether it was mirrored, which is done; and the shift and
    /// damping of its colours, which are not.
    pub views: Vec<View>,
    /// The label of each image, `n` of them.
    pub labels: Vec<u32>,
    /// Where each image stands in the pack.
    pub indices: Vec<u64>,
    /// With [`Mix`](super::Mix), the other image in each; else empty.
    pub mixed: Vec<Mixed>,
    pub(super) spare: Arc<Spare<u8>>,
}

impl Debug for CropBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shape = [self.views.len(), self.crop, self.crop, 3];
        f.debug_struct("CropBatch").field("pixels", &shape).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Drop for CropBatch {
    fn drop(&mut self) {
        self.spare.put(std::mem::take(&mut self.pixels));
    }
}
