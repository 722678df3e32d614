//! Batches on a device: a thread uploads the next batch while the device works on this one.

use data::{Batch, CropParams, Loader, Prefetch, StageTimes};
use tensor::ops::InputTransform;
use tensor::{Backend, DeviceImages, Tensor};

use crate::{Error, Result};

/// Batches that the uploading thread is ahead, including the one that it uploads.
pub(crate) const BATCHES_AHEAD: usize = 2;

/// A batch whose images a device can read.
pub type DeviceBatch<B> = Batch<DeviceImages<B>>;

/// A loader for a device, which crops and normalizes the images.
#[derive(Debug)]
pub struct DeviceLoader<B: Backend> {
    device: B,
    loader: Loader,
    transform: InputTransform<B>,
}

impl<B: Backend<Scalar = f32>> DeviceLoader<B> {
    /// Copies the mean image to the device, if there is one.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(device: &B, loader: Loader) -> Result<Self> {
        let transform = InputTransform::new(device, loader.input())?;
        Ok(Self { device: device.clone(), loader, transform })
    }

    /// Number of batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.loader.batches_per_epoch()
    }

    /// The time that the loader's threads have spent in each stage so far.
    pub fn stage_times(&self) -> StageTimes {
        self.loader.stage_times()
    }

    /// Batches of an epoch from number `first_batch` on, prefetched until the iterator is dropped.
    pub fn batches(&self, epoch: u64, first_batch: usize) -> Prefetch<DeviceBatch<B>, Error> {
        let device = self.device.clone();
        let batches = self.loader.batches(epoch, first_batch).map(move |batch| to_device(&device, batch?));
        Prefetch::spawn("upload", BATCHES_AHEAD, batches)
    }

    /// The network's input from a batch of this loader: `[crops, crop, crop, 3]`.
    ///
    /// # Errors
    /// [`Error::Data`] if a file of the pack was modified; errors of the device.
    pub fn input(&self, batch: &DeviceBatch<B>) -> Result<Tensor<B>> {
        self.input_with(batch, &self.transform, &batch.crops)
    }

    /// The input of another network from a batch of this loader: `[crops, crop, crop, 3]`. Its crops must lie within those
    /// of this loader.
    ///
    /// # Errors
    /// Those of [`input`](Self::input).
    pub fn input_with(
        &self,
        batch: &DeviceBatch<B>,
        transform: &InputTransform<B>,
        crops: &[CropParams],
    ) -> Result<Tensor<B>> {
        // The CPU reads the mapped pack only now.
        self.loader.check_unchanged(&batch.indices)?;
        let input = transform.apply(&batch.images, crops)?;
        self.loader.check_unchanged(&batch.indices)?;
        Ok(input)
    }
}

/// Copies the images from where they are, if need be the mapped pack, to the device; the CPU reads them there.
fn to_device<B: Backend>(device: &B, batch: Batch) -> Result<DeviceBatch<B>> {
    batch.map_images(|images| {
        images.check_unchanged()?;
        let size = images.size();
        Ok(DeviceImages::new(device, size, images)?)
    })
}
