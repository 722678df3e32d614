//! Stored images as a device reads them: in host memory, or in a buffer of its own.

use std::sync::Arc;

pub use crop::HostImages;

use crate::tensor::element_count;
use crate::{Backend, Error, Result};

/// Square RGB images `[count, size, size, 3]` of 8-bit channels that a device can read. A device with memory of its own
/// gets a copy; the CPU reads them where they are. Cloning shares them.
#[derive(Clone, Debug)]
pub struct DeviceImages<B: Backend> {
    device: B,
    count: usize,
    size: usize,
    memory: ImageMemory<B>,
}

#[derive(Clone, Debug)]
pub(crate) enum ImageMemory<B: Backend> {
    Host(Arc<dyn HostImages>),
    Device(B::IntBuffer),
}

impl<B: Backend> DeviceImages<B> {
    /// Makes images of `size` x `size` readable for `device`. In a thread of its own, the copy to the device overlaps
    /// with the device's work.
    ///
    /// # Errors
    /// [`Error::Argument`] if an image has another length; errors of the device.
    pub fn new(device: &B, size: usize, images: Arc<dyn HostImages>) -> Result<Self> {
        let bytes = element_count("images", &[size, size, 3])?;
        let count = images.count();
        if let Some(len) = (0..count).map(|index| images.image(index).len()).find(|&len| len != bytes) {
            let what = format!("expected images of {size} x {size} x 3 bytes, got one of {len} bytes");
            return Err(Error::argument("images", what));
        }
        let memory = if device.reads_host_memory() {
            ImageMemory::Host(images)
        } else {
            ImageMemory::Device(device.upload_images(&*images)?)
        };
        Ok(Self { device: device.clone(), count, size, memory })
    }

    /// The same for images that lie one after another in `bytes`, which are copied.
    ///
    /// # Errors
    /// [`Error::Argument`] if `bytes` is not a whole number of images; errors of the device.
    pub fn from_bytes(device: &B, size: usize, bytes: &[u8]) -> Result<Self> {
        let image_bytes = element_count("images", &[size, size, 3])?;
        if image_bytes == 0 || !bytes.len().is_multiple_of(image_bytes) {
            let what = format!("expected whole images of {size} x {size} x 3 bytes, got {} bytes", bytes.len());
            return Err(Error::argument("images", what));
        }
        Self::new(device, size, Arc::new(ContiguousImages { image_bytes, bytes: bytes.to_vec() }))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Side length of the images in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The device that reads the images.
    pub fn device(&self) -> &B {
        &self.device
    }

    pub(crate) fn memory(&self) -> &ImageMemory<B> {
        &self.memory
    }
}

/// Images one after another.
#[derive(Debug)]
struct ContiguousImages {
    image_bytes: usize,
    bytes: Vec<u8>,
}

impl HostImages for ContiguousImages {
    fn count(&self) -> usize {
        self.bytes.len() / self.image_bytes
    }

    fn image(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.image_bytes..][..self.image_bytes]
    }
}
