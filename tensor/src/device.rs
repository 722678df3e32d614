//! The interface of a device's memory. Its kernels are those of [`Backend`](crate::Backend).

use std::borrow::Cow;
use std::fmt::Debug;

use crate::{Element, HostImages, Result};

/// Keeps other crates from implementing a trait, so that it can gain methods.
pub(crate) mod sealed {
    /// The seal.
    pub trait Sealed {}
}

/// A device that holds buffers. Cloning a device is cheap: it is a handle.
///
/// Buffers are reference-counted. Clones share memory, and a kernel that writes in place copies a shared buffer first.
///
/// The trait is sealed: the devices are those of this crate. An operation of your own runs on them by
/// [`Kernel`](crate::Kernel).
pub trait Device: sealed::Sealed + Clone + Debug + Send + Sync + 'static {
    /// The number type of host-side values.
    type Scalar: Element;
    /// A buffer of floating-point numbers.
    type FloatBuffer: Clone + Debug + Send + Sync + 'static;
    /// A buffer of `u32`: labels, positions, counts.
    type IntBuffer: Clone + Debug + Send + Sync + 'static;

    /// The device's name and settings, for messages.
    fn describe(&self) -> String;
    /// Copies `values` to a new buffer.
    fn upload(&self, values: &[Self::Scalar]) -> Result<Self::FloatBuffer>;
    /// The buffer's values, after all queued work on it.
    fn download(&self, buffer: &Self::FloatBuffer) -> Result<Vec<Self::Scalar>>;
    /// The buffer's values, after all queued work on it: where they are, if that is the host's memory, else downloaded.
    fn read<'a>(&self, buffer: &'a Self::FloatBuffer) -> Result<Cow<'a, [Self::Scalar]>> {
        Ok(Cow::Owned(self.download(buffer)?))
    }
    /// A new buffer of `len` values, all equal to `value`.
    fn full(&self, len: usize, value: Self::Scalar) -> Result<Self::FloatBuffer>;
    /// Copies `values` to a new buffer.
    fn upload_ints(&self, values: &[u32]) -> Result<Self::IntBuffer>;
    /// The buffer's values, after all queued work on it.
    fn download_ints(&self, buffer: &Self::IntBuffer) -> Result<Vec<u32>>;
    /// The values of several buffers. Waits for the device once.
    #[allow(clippy::type_complexity)]
    fn download_all(
        &self,
        floats: &[&Self::FloatBuffer],
        ints: &[&Self::IntBuffer],
    ) -> Result<(Vec<Vec<Self::Scalar>>, Vec<Vec<u32>>)> {
        let floats = floats.iter().map(|buffer| self.download(buffer)).collect::<Result<_>>()?;
        let ints = ints.iter().map(|buffer| self.download_ints(buffer)).collect::<Result<_>>()?;
        Ok((floats, ints))
    }
    /// The values in the type of activations, which may be narrower than that of weights.
    fn to_activation_dtype(&self, buffer: &Self::FloatBuffer) -> Result<Self::FloatBuffer> {
        Ok(buffer.clone())
    }
    /// A matrix of `rows` rows, weights for prediction, in the type that the device stores such ones in: rounded on a CPU
    /// of [`Precision::Int8`](crate::Precision::Int8), else as it is.
    fn to_weight_dtype(&self, buffer: &Self::FloatBuffer, _rows: usize) -> Result<Self::FloatBuffer> {
        Ok(buffer.clone())
    }
    /// Whether kernels read [`HostImages`] where they are, so that nothing is copied.
    fn reads_host_memory(&self) -> bool {
        false
    }
    /// Copies images to the device, one after another: four bytes to an integer, the first in its lowest bits, and zeros
    /// at the end. Only [`CropAndNormalizeImages`](crate::ops::crop_and_normalize::CropAndNormalizeImages) reads the
    /// buffer. Where the device can, the copy overlaps with its work. Meant for a thread that runs ahead of the one that
    /// computes.
    fn upload_images(&self, images: &dyn HostImages) -> Result<Self::IntBuffer> {
        let bytes = (0..images.count()).flat_map(|index| images.image(index)).copied().collect::<Vec<u8>>();
        let word = |bytes: &[u8]| {
            let mut padded = [0; 4];
            padded[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(padded)
        };
        self.upload_ints(&bytes.chunks(4).map(word).collect::<Vec<_>>())
    }
    /// The number of values in the buffer.
    fn buffer_len(&self, buffer: &Self::FloatBuffer) -> usize;
    /// The number of values in the buffer.
    fn int_buffer_len(&self, buffer: &Self::IntBuffer) -> usize;
    /// The size of the buffer's values in bytes.
    fn bytes(&self, buffer: &Self::FloatBuffer) -> u64;
    /// The size of the buffer's values in bytes.
    fn int_bytes(&self, buffer: &Self::IntBuffer) -> u64;
    /// Labels subsequent kernels with a layer's name, which may be empty, for profilers. Has no effect on results.
    fn set_scope(&self, _layer: &str) {}
    /// Whether kernels are queued, so that a download waits for all work before it.
    fn is_asynchronous(&self) -> bool {
        false
    }
    /// The device's memory, where it reports it.
    fn memory(&self) -> Option<Memory> {
        None
    }
    /// Waits for all queued work and returns its first error.
    fn synchronize(&self) -> Result<()>;
}

/// A device's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The whole memory.
    pub total: u64,
    /// The part that is not in use.
    pub free: u64,
    /// Whether it is the host's memory, which the rest of the program shares.
    pub is_host: bool,
}
