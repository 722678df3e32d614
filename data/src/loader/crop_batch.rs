//! Batches of crops as floats.

use std::fmt::{Debug, Formatter};
use std::sync::{Arc, Mutex, PoisonError};

use crop::CropParams;
use ndarray::Array4;
use rayon::prelude::*;

use super::augment::MixedLabel;
use super::batch_maker::{BatchIndices, BatchMaker};
use super::input::CropWriter;
use crate::error::{Error, Result};

/// The crops of a batch as floats, from [`Loader::crop_batches`](super::Loader::crop_batches). Its array is reused for a
/// later batch after it is dropped.
pub struct CropBatch {
    /// The crops, in the loader's [`Layout`](super::Layout): `[n * views, crop, crop, 3]` or `[n * views, 3, crop, crop]`,
    /// those of an image consecutive, in standard layout.
    pub images: Array4<f32>,
    /// Label of each image.
    pub labels: Vec<u32>,
    /// Index of each image in the data set.
    pub indices: Vec<u64>,
    /// Second label of each image with [`MixupCutmix`](super::MixupCutmix); otherwise empty.
    pub mixed: Vec<MixedLabel>,
    pool: Arc<ArrayPool>,
}

impl CropBatch {
    /// The crops alone, to keep.
    pub fn into_images(mut self) -> Array4<f32> {
        std::mem::take(&mut self.images)
    }
}

impl Drop for CropBatch {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.images));
    }
}

impl Debug for CropBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CropBatch")
            .field("shape", &self.images.shape())
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// Arrays of dropped batches, for reuse: fresh memory costs a page fault every 4 KB.
#[derive(Debug, Default)]
pub(super) struct ArrayPool(Mutex<Vec<Array4<f32>>>);

/// Maximum number of arrays kept.
const MAX_ARRAYS: usize = 4;

impl ArrayPool {
    /// An array of unspecified values.
    fn take(&self, shape: [usize; 4]) -> Array4<f32> {
        let mut arrays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match arrays.iter().position(|array| array.shape() == shape) {
            Some(place) => arrays.swap_remove(place),
            None => Array4::zeros(shape),
        }
    }

    fn put(&self, array: Array4<f32>) {
        let mut arrays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if arrays.len() < MAX_ARRAYS && !array.is_empty() {
            arrays.push(array);
        }
    }
}

impl BatchMaker {
    /// Makes a batch of crops: each image is decoded and cropped while it is in a processor's cache.
    pub fn crop_batch(&self, batch: &BatchIndices, pool: &Arc<ArrayPool>) -> Result<CropBatch> {
        let crops = batch.indices.len() * self.options.views.count();
        let mut images = pool.take(self.options.layout.shape(crops, self.input.crop));
        let out =
            images.as_slice_mut().ok_or_else(|| Error::option("batch", "an array in standard layout", "another"))?;
        let mixed = if self.mixes() || self.reads_the_map() {
            // Images are mixed with others of the batch, so all must be there first; those in memory are.
            let made = self.batch(batch)?;
            self.write_crops(&made, out)?;
            made.mixed
        } else {
            self.write_each(batch, &self.crops(batch), out)?;
            Vec::new()
        };
        let labels = self.labels(batch);
        Ok(CropBatch { images, labels, indices: batch.indices.clone(), mixed, pool: Arc::clone(pool) })
    }

    /// Decodes, augments and crops image by image.
    fn write_each(&self, batch: &BatchIndices, crops: &[CropParams], out: &mut [f32]) -> Result<()> {
        let views = self.options.views.count();
        let writer = CropWriter { input: &self.input, mean: self.mean_image(), layout: self.options.layout };
        let size = self.dataset.size();
        let values = (views * self.input.crop_len()).max(1);
        self.install(|| {
            out.par_chunks_exact_mut(values).zip(crops.par_chunks_exact(views)).enumerate().try_for_each_init(
                || vec![0; self.image_bytes()],
                |image, (position, (out, crops))| {
                    self.write_image(batch, position, crops, image)?;
                    writer.write_views(image, size, crops, out);
                    Ok(())
                },
            )
        })
    }
}
