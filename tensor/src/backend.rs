//! The interface of a device: memory here, kernels by the operations of [`ops`].

use std::fmt::Debug;

use crate::dry_run::MemoryModel;
use crate::{Element, Kernel, Result, ops};

/// A device's memory and identity. Cloning a device is cheap: it is a handle.
///
/// Buffers are reference-counted: cloning one shares it, and a kernel that writes in place copies a shared one first.
pub trait Device: Clone + Debug + Send + Sync + 'static {
    /// The number type of host-side values.
    type Scalar: Element;
    /// A buffer of numbers.
    type FloatBuffer: Clone + Debug + Send + Sync + 'static;
    /// A buffer of `u32`: labels, positions, counts.
    type IntBuffer: Clone + Debug + Send + Sync + 'static;

    /// The device's name and settings, for messages.
    fn describe(&self) -> String;
    /// A buffer that holds a copy of `values`.
    fn upload(&self, values: &[Self::Scalar]) -> Result<Self::FloatBuffer>;
    /// The buffer's values, once all work on it is done.
    fn download(&self, buffer: &Self::FloatBuffer) -> Result<Vec<Self::Scalar>>;
    /// A buffer of `len` times `value`.
    fn full(&self, len: usize, value: Self::Scalar) -> Result<Self::FloatBuffer>;
    /// A buffer that holds a copy of `values`.
    fn upload_ints(&self, values: &[u32]) -> Result<Self::IntBuffer>;
    /// The buffer's values, once all work on it is done.
    fn download_ints(&self, buffer: &Self::IntBuffer) -> Result<Vec<u32>>;
    /// The values of several buffers at once: the device is waited for once.
    #[allow(clippy::type_complexity)]
    fn download_all(
        &self,
        floats: &[&Self::FloatBuffer],
        ints: &[&Self::IntBuffer],
    ) -> Result<(Vec<Vec<Self::Scalar>>, Vec<Vec<u32>>)> {
        let floats = floats.iter().map(|buffer| self.download(buffer)).collect::<Result<_>>()?;
        Ok((floats, ints.iter().map(|buffer| self.download_ints(buffer)).collect::<Result<_>>()?))
    }
    /// The numbers in the type that flows between layers, where that is not the type of weights: a step's input.
    fn to_activation_dtype(&self, buffer: &Self::FloatBuffer) -> Result<Self::FloatBuffer> {
        Ok(buffer.clone())
    }
    /// A buffer that holds a copy of `bytes`, four a word, the first in the lowest bits; the last word is filled up with
    /// zeros.
    fn upload_bytes(&self, bytes: &[u8]) -> Result<Self::IntBuffer> {
        let word = |b: &[u8]| b.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        self.upload_ints(&bytes.chunks(4).map(word).collect::<Vec<_>>())
    }
    /// Uploads images that only [`PrepareImages`](crate::ops::prepare::PrepareImages) reads, like
    /// [`upload_bytes`](Self::upload_bytes). Where the device can, the copy runs beside the work that is queued. Meant for a thread that is ahead of the one that computes.
    fn upload_images(&self, bytes: &[u8]) -> Result<Self::IntBuffer> {
        self.upload_bytes(bytes)
    }
    /// Bytes of the buffer's numbers.
    fn bytes(&self, buffer: &Self::FloatBuffer) -> u64;
    /// Bytes of the buffer's numbers.
    fn int_bytes(&self, buffer: &Self::IntBuffer) -> u64;
    /// Labels the kernels that follow with a layer's name, or with nothing, for profilers. Results do not depend on it.
    fn set_scope(&self, _layer: &str) {}
    /// Whether kernels are queued and done later, so that asking for a value waits for all work before it.
    fn is_asynchronous(&self) -> bool {
        false
    }
    /// The memory that buffers are taken from, where the device tells.
    fn memory(&self) -> Option<Memory> {
        None
    }
    /// Waits until all work given to the device so far is done, and reports what went wrong in it.
    fn synchronize(&self) -> Result<()>;
}

/// A device's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// Bytes not in use.
    pub free: u64,
    /// Whether it is the machine's own, which the rest of the program needs too.
    pub is_host: bool,
}

/// A device with a kernel for every operation of [`ops`]. A missing kernel is a compile error.
pub trait Backend:
    Device
    + Kernel<ops::activation::ActivationForward>
    + Kernel<ops::activation::ActivationBackward>
    + Kernel<ops::batch_norm::BatchMoments>
    + Kernel<ops::batch_norm::BatchNormForward>
    + Kernel<ops::batch_norm::BatchNormBackward>
    + Kernel<ops::conv2d::Conv2dForward>
    + Kernel<ops::conv2d::Conv2dInputGrad>
    + Kernel<ops::conv2d::Conv2dWeightGrad>
    + Kernel<ops::count::CountGe>
    + Kernel<ops::cross_entropy::Softmax>
    + Kernel<ops::cross_entropy::CrossEntropyForward>
    + Kernel<ops::cross_entropy::CrossEntropyBackward>
    + Kernel<ops::cross_entropy::RankOfLabel>
    + Kernel<ops::dropout::DropoutForward>
    + Kernel<ops::elementwise::Binary>
    + Kernel<ops::elementwise::AddScaled>
    + Kernel<ops::elementwise::MulAddScalar>
    + Kernel<ops::linear::Matmul>
    + Kernel<ops::local2d::Local2dForward>
    + Kernel<ops::local2d::Local2dInputGrad>
    + Kernel<ops::local2d::Local2dWeightGrad>
    + Kernel<ops::lrn::LrnForward>
    + Kernel<ops::lrn::LrnBackward>
    + Kernel<ops::lrn_pool::LrnMaxPoolForward>
    + Kernel<ops::lrn_pool::LrnMaxPoolBackward>
    + Kernel<ops::lrn_pool::LrnMaxPoolReluBiasBackward>
    + Kernel<ops::pool::MaxPoolForward>
    + Kernel<ops::pool::MaxPoolBackward>
    + Kernel<ops::pool::AveragePoolForward>
    + Kernel<ops::pool::AveragePoolBackward>
    + for<'c> Kernel<ops::prepare::PrepareImages<'c>>
    + Kernel<ops::reduce::Sum>
    + Kernel<ops::reduce::SumRows>
    + Kernel<ops::reduce::MaxAndArgmax>
    + Kernel<ops::reduce::AllFinite>
    + Kernel<ops::relu_bias::ReluBiasBackward>
    + Kernel<ops::sample::SampleNormal>
    + Kernel<ops::sample::SampleUniform>
    + Kernel<ops::update::SgdSteps>
    + Kernel<ops::update::AdamSteps>
{
    /// How this device's memory comes and goes, for a [`DryRun`](crate::DryRun).
    fn memory_model(&self) -> MemoryModel {
        MemoryModel::default()
    }
}
