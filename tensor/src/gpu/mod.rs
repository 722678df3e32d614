//! GPU backends over CubeCL: one set of kernels for CUDA and for wgpu (Vulkan, Metal, DirectX 12).
//!
//! Kernels follow the CPU's, file by file. None uses atomics on floating-point numbers, and sums are taken in an order
//! that follows from shapes alone: the same device and input give the same bits.
//!
//! Weights, gradients of weights, statistics and losses are `f32`. What flows between layers is `f32` or, with
//! [`Precision::Bf16`], `bf16`, which has the exponents of `f32` and so needs no scaling of the loss. Kernels compute
//! in `f32` whatever they read and write; only the factors of matrix products are rounded to the precision chosen.

mod activation;
mod batch_norm;
mod buffer;
mod cast;
mod conv2d;
mod count;
mod cross_entropy;
mod cube;
mod dropout;
mod elementwise;
mod launch;
mod linear;
mod local2d;
mod lrn;
mod lrn_map;
mod lrn_pool;
mod matrix;
mod philox;
mod pool;
mod precision;
mod reduce;
pub mod runtime;
mod sample;
mod update;

use std::fmt;
use std::sync::Arc;

use cubecl::client::ComputeClient;
use cubecl::future::block_on;
use cubecl::prelude::*;
use cubecl::server::{Handle, IoError, ServerError};

use crate::{Backend, Device, Error, Result};
pub use buffer::{Buffer, IntBuffer};
pub use cubecl;
pub use precision::{Dtype, Precision};

/// A GPU of runtime `R`.
pub struct Gpu<R: Runtime> {
    shared: Arc<Shared<R>>,
}

struct Shared<R: Runtime> {
    client: ComputeClient<R>,
    name: String,
    precision: Precision,
}

impl<R: Runtime> Clone for Gpu<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<R: Runtime> fmt::Debug for Gpu<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({}, {})", self.shared.name, self.shared.precision)
    }
}

impl<R: Runtime> Gpu<R> {
    /// A backend on a device that is known to be there: see [`runtime`] for finding one. `name` is what messages call
    /// it.
    ///
    /// # Errors
    /// [`Error::Device`] if the device cannot compute in `precision`.
    pub fn new(client: ComputeClient<R>, name: impl Into<String>, precision: Precision) -> Result<Self> {
        let name = name.into();
        precision.check(client.properties()).map_err(|what| Error::Device { device: name.clone(), what })?;
        Ok(Self { shared: Arc::new(Shared { client, name, precision }) })
    }

    /// How it computes.
    pub fn precision(&self) -> Precision {
        self.shared.precision
    }

    pub(crate) fn client(&self) -> &ComputeClient<R> {
        &self.shared.client
    }

    /// The type of what flows between layers.
    pub(crate) fn activation_dtype(&self) -> Dtype {
        self.shared.precision.activations()
    }

    /// A buffer to be written in full: its content is arbitrary.
    pub(crate) fn empty(&self, dtype: Dtype, len: usize) -> Buffer {
        // A buffer of no bytes cannot be bound.
        Buffer::new(self.client().empty((len * dtype.bytes()).max(4)), len, dtype)
    }

    /// A buffer to be written in full: its content is arbitrary.
    pub(crate) fn empty_ints(&self, len: usize) -> IntBuffer {
        IntBuffer::new(self.client().empty((len * 4).max(4)), len)
    }

    fn create(&self, bytes: &[u8]) -> Handle {
        self.client().create_from_slice(if bytes.is_empty() { &[0; 4] } else { bytes })
    }

    /// The words of buffers, once all work on them is done: the device is waited for once.
    fn read(&self, buffers: &[(Handle, usize)]) -> Result<Vec<Vec<u32>>> {
        // After a failed launch some runtimes read stale memory without a word: ask for errors first.
        self.synchronize()?;
        let handles = buffers.iter().map(|(handle, _)| handle.clone()).collect();
        let bytes = block_on(self.client().read_async(handles)).map_err(|e| self.failure(e))?;
        let words =
            |bytes: &[u8], len| bytes.as_chunks::<4>().0.iter().take(len).map(|&b| u32::from_ne_bytes(b)).collect();
        Ok(bytes.iter().zip(buffers).map(|(bytes, (_, len))| words(bytes, *len)).collect())
    }

    /// What went wrong on the device, without the runtime's backtraces.
    fn failure(&self, error: ServerError) -> Error {
        let device = self.shared.name.clone();
        match too_big(&error) {
            Some(needed) => Error::Memory { device, needed },
            None => {
                let text = error.to_string();
                let what = text.lines().filter(|l| !l.trim().is_empty()).take(4).collect::<Vec<_>>().join(" ");
                Error::Device { device, what: format!("the device failed: {what}") }
            }
        }
    }
}

/// The size of the allocation that was refused, if that is what happened.
fn too_big(error: &ServerError) -> Option<u64> {
    match error {
        ServerError::Io(IoError::BufferTooBig { size, .. }) => Some(*size),
        ServerError::ServerUnhealthy { errors, .. } => errors.iter().find_map(too_big),
        _ => None,
    }
}

impl<R: Runtime> Device for Gpu<R> {
    type Elem = f32;
    type Floats = Buffer;
    type Ints = IntBuffer;

    fn describe(&self) -> String {
        format!("{}, {}", self.shared.name, self.shared.precision)
    }

    fn upload(&self, values: &[f32]) -> Result<Buffer> {
        Ok(Buffer::new(self.create(bytemuck::cast_slice(values)), values.len(), Dtype::F32))
    }

    fn download(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        let (mut floats, _) = self.download_all(&[buffer], &[])?;
        Ok(floats.pop().unwrap_or_default())
    }

    fn filled(&self, len: usize, value: f32) -> Result<Buffer> {
        let buffer = self.empty(Dtype::F32, len);
        self.fill(&buffer, value);
        Ok(buffer)
    }

    fn upload_ints(&self, values: &[u32]) -> Result<IntBuffer> {
        Ok(IntBuffer::new(self.create(bytemuck::cast_slice(values)), values.len()))
    }

    fn download_ints(&self, buffer: &IntBuffer) -> Result<Vec<u32>> {
        let (_, mut ints) = self.download_all(&[], &[buffer])?;
        Ok(ints.pop().unwrap_or_default())
    }

    fn download_all(&self, floats: &[&Buffer], ints: &[&IntBuffer]) -> Result<(Vec<Vec<f32>>, Vec<Vec<u32>>)> {
        let floats: Vec<Buffer> = floats.iter().map(|buffer| self.to_f32(buffer)).collect();
        let mut words = floats.iter().map(|b| (b.handle(), b.len())).collect::<Vec<_>>();
        words.extend(ints.iter().map(|b| (b.handle(), b.len())));
        let mut floats_read = self.read(&words)?;
        let ints_read = floats_read.split_off(floats.len());
        let floats_read = floats_read.into_iter().map(|words| words.into_iter().map(f32::from_bits).collect());
        Ok((floats_read.collect(), ints_read))
    }

    fn is_asynchronous(&self) -> bool {
        true
    }

    fn to_activations(&self, buffer: &Buffer) -> Result<Buffer> {
        Ok(self.cast(buffer, self.activation_dtype()))
    }

    fn bytes(&self, buffer: &Buffer) -> u64 {
        (buffer.len() * buffer.dtype().bytes()) as u64
    }

    fn int_bytes(&self, buffer: &IntBuffer) -> u64 {
        (buffer.len() * size_of::<u32>()) as u64
    }

    fn synchronize(&self) -> Result<()> {
        block_on(self.client().sync()).map_err(|e| self.failure(e))
    }
}

impl<R: Runtime> Backend for Gpu<R> {}
