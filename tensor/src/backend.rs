//! What a device must supply: memory here, kernels in [`ops`].

use std::fmt::Debug;

use crate::ops;
use crate::plan::{Plan, Rules};
use crate::{Element, Result};

/// A device's memory and identity. Cloning a device is cheap: it is a handle.
///
/// Buffers are reference-counted: cloning one shares it, and a kernel that writes in place copies a shared one first.
pub trait Device: Clone + Debug + Send + Sync + 'static {
    /// The number type of host-side values.
    type Elem: Element;
    /// A buffer of numbers.
    type Floats: Clone + Debug + Send + Sync;
    /// A buffer of `u32`: labels, positions, counts.
    type Ints: Clone + Debug + Send + Sync;

    /// The device in words, as messages and `info` give it.
    fn describe(&self) -> String;
    /// A buffer that holds a copy of `values`.
    fn upload(&self, values: &[Self::Elem]) -> Result<Self::Floats>;
    /// The buffer's values, once all work on it is done.
    fn download(&self, buffer: &Self::Floats) -> Result<Vec<Self::Elem>>;
    /// A buffer of `len` times `value`.
    fn filled(&self, len: usize, value: Self::Elem) -> Result<Self::Floats>;
    /// A buffer that holds a copy of `values`.
    fn upload_ints(&self, values: &[u32]) -> Result<Self::Ints>;
    /// The buffer's values, once all work on it is done.
    fn download_ints(&self, buffer: &Self::Ints) -> Result<Vec<u32>>;
    /// The values of several buffers at once: the device is waited for once.
    #[allow(clippy::type_complexity)]
    fn download_all(
        &self,
        floats: &[&Self::Floats],
        ints: &[&Self::Ints],
    ) -> Result<(Vec<Vec<Self::Elem>>, Vec<Vec<u32>>)> {
        let floats = floats.iter().map(|buffer| self.download(buffer)).collect::<Result<_>>()?;
        Ok((floats, ints.iter().map(|buffer| self.download_ints(buffer)).collect::<Result<_>>()?))
    }
    /// The numbers in the type that flows between layers, where that is not the type of weights: a step's input.
    fn to_activations(&self, buffer: &Self::Floats) -> Result<Self::Floats> {
        Ok(buffer.clone())
    }
    /// A buffer that holds a copy of `bytes`, four a word, the first in the lowest bits; the last word is filled up with
    /// zeros.
    fn upload_bytes(&self, bytes: &[u8]) -> Result<Self::Ints> {
        let word = |b: &[u8]| b.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        self.upload_ints(&bytes.chunks(4).map(word).collect::<Vec<_>>())
    }
    /// Bytes of the buffer's numbers.
    fn bytes(&self, buffer: &Self::Floats) -> u64;
    /// Bytes of the buffer's numbers.
    fn int_bytes(&self, buffer: &Self::Ints) -> u64;
    /// Tells what the work given to the device from now on is for: a layer's name, or nothing. For tools that measure or
    /// name it; results do not depend on it.
    fn mark(&self, _place: &str) {}
    /// Whether kernels are queued and done later, so that asking for a value waits for all work before it.
    fn is_asynchronous(&self) -> bool {
        false
    }
    /// The memory that buffers are taken from, where the device tells.
    fn memory(&self) -> Option<Memory> {
        None
    }
    /// A backend that takes as much memory as this device would for the same work, and does none of it.
    fn plan(&self) -> Plan {
        Plan::new(Rules::default())
    }
    /// Waits until all work given to the device so far is done, and reports what went wrong in it.
    fn synchronize(&self) -> Result<()>;
}

/// A device's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All there is.
    pub total: u64,
    /// What nobody uses.
    pub free: u64,
    /// Whether it is the machine's own, which the rest of the program needs too.
    pub is_host: bool,
}

/// A device with every kernel of [`ops`]. A kernel missing on one device is a compile error.
pub trait Backend:
    Device
    + ops::activation::Kernels
    + ops::batch_norm::Kernels
    + ops::conv2d::Kernels
    + ops::count::Kernels
    + ops::cross_entropy::Kernels
    + ops::dropout::Kernels
    + ops::elementwise::Kernels
    + ops::linear::Kernels
    + ops::local2d::Kernels
    + ops::lrn::Kernels
    + ops::lrn_pool::Kernels
    + ops::pool::Kernels
    + ops::prepare::Kernels
    + ops::reduce::Kernels
    + ops::relu_bias::Kernels
    + ops::sample::Kernels
    + ops::update::Kernels
{
}
