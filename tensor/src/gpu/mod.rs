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
mod batch_sums;
mod buffer;
mod cast;
mod conv2d;
mod count;
mod cross_entropy;
mod cube;
mod dropout;
mod elementwise;
mod fault;
mod fold;
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
mod prepare;
mod reduce;
mod relu_bias;
pub mod runtime;
mod sample;
mod simulated_pools;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
mod update;
mod upload;

use std::fmt;
use std::sync::{Arc, OnceLock};

use cubecl::client::ComputeClient;
use cubecl::device::Device as _;
use cubecl::device_handle::DeviceHandle;
use cubecl::future::block_on;
use cubecl::prelude::*;
use cubecl::server::{Handle, IoError, LaunchError, ServerError};
use cubecl::stream_id::StreamId;

use crate::dry_run::MemoryModel;
use crate::{Backend, Device, Error, Memory, Result};
pub use buffer::{Buffer, IntBuffer};
pub use cubecl;
use fault::Fault;
use launch::MAX_LEN;
use matrix::tune::Tuner;
pub use matrix::tune::Tuning;
pub use precision::{Dtype, Precision};

/// What to do about a buffer that is too large.
const SMALLER: &str = "a smaller batch needs less";

/// A GPU of runtime `R`.
pub struct Gpu<R: Runtime> {
    shared: Arc<Shared<R>>,
}

struct Shared<R: Runtime> {
    client: ComputeClient<R>,
    server: DeviceHandle<R::Server>,
    name: String,
    precision: Precision,
    precisions: Vec<Precision>,
    memory: Option<MemoryProbe>,
    tuner: OnceLock<Tuner>,
}

/// Asks a driver for a device's memory.
type MemoryProbe = Box<dyn Fn() -> Option<Memory> + Send + Sync>;

/// What a runtime knows of a device beside CubeCL.
struct Identity {
    /// What messages call it.
    name: String,
    /// Precisions that CubeCL is wrong about.
    lacks: Vec<Precision>,
    memory: Option<MemoryProbe>,
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
    pub fn new(device: &R::Device, name: impl Into<String>, precision: Precision) -> Result<Self> {
        Self::identified(
            device,
            R::client(device),
            Identity { name: name.into(), lacks: Vec::new(), memory: None },
            precision,
        )
    }

    fn identified(
        device: &R::Device,
        client: ComputeClient<R>,
        identity: Identity,
        precision: Precision,
    ) -> Result<Self> {
        let Identity { name, lacks, memory } = identity;
        let mut precisions = Precision::supported(client.properties());
        precisions.retain(|p| !lacks.contains(p));
        if !precisions.contains(&precision) {
            let there = precisions.iter().map(Precision::to_string).collect::<Vec<_>>().join(", ");
            let what = format!("it has no matrix units for {precision}; it computes in {there}");
            return Err(Error::Device { device: name, what });
        }
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                server: DeviceHandle::new(device.to_id()),
                name,
                precision,
                precisions,
                memory,
                tuner: OnceLock::new(),
            }),
        })
    }

    /// How it computes.
    pub fn precision(&self) -> Precision {
        self.shared.precision
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    pub(crate) fn client(&self) -> &ComputeClient<R> {
        &self.shared.client
    }

    /// The thread that owns the device.
    pub(crate) fn server(&self) -> &DeviceHandle<R::Server> {
        &self.shared.server
    }

    /// The type of what flows between layers.
    pub(crate) fn activation_dtype(&self) -> Dtype {
        self.shared.precision.activations()
    }

    /// A buffer to be written in full: its content is arbitrary.
    pub(crate) fn empty(&self, dtype: Dtype, len: usize) -> Buffer {
        Buffer::new(self.allocate(len, dtype.bytes()), len, dtype)
    }

    /// A buffer to be written in full: its content is arbitrary.
    pub(crate) fn empty_ints(&self, len: usize) -> IntBuffer {
        IntBuffer::new(self.allocate(len, 4), len)
    }

    /// Memory for `len` numbers. What a device cannot have, like what it turns out not to have, is told when its results
    /// are asked for: until then it has no memory behind it, and kernels that are given it do not run.
    fn allocate(&self, len: usize, bytes_each: usize) -> Handle {
        match self.size(len, bytes_each) {
            Ok(size) => self.client().empty(size),
            Err(error) => {
                fault::refuse(error);
                Handle::new(StreamId::current(), len.saturating_mul(bytes_each) as u64)
            }
        }
    }

    /// The bytes to allocate for `len` numbers.
    ///
    /// # Errors
    /// [`Error::Device`] if kernels could not count them, or the device has no buffers as large.
    fn size(&self, len: usize, bytes_each: usize) -> Result<usize> {
        let device = || self.shared.name.clone();
        if len > MAX_LEN {
            let what =
                format!("a buffer of {len} numbers is more than the {MAX_LEN} that kernels can count; {SMALLER}");
            return Err(Error::Device { device: device(), what });
        }
        // A buffer of no bytes cannot be bound.
        let size = (len * bytes_each).max(4);
        let most = self.client().properties().memory.max_page_size;
        if size as u64 > most {
            let what = format!("a buffer of {size} bytes is more than the {most} that it gives at once; {SMALLER}");
            return Err(Error::Device { device: device(), what });
        }
        Ok(size)
    }

    fn create(&self, bytes: &[u8]) -> Result<Handle> {
        self.size(bytes.len() / 4, 4)?;
        Ok(self.client().create_from_slice(if bytes.is_empty() { &[0; 4] } else { bytes }))
    }

    /// The words of buffers, once all work on them is done: the device is waited for once.
    fn read(&self, buffers: &[(Handle, usize)]) -> Result<Vec<Vec<u32>>> {
        // After a failed launch some runtimes read stale memory without a word: ask for errors first.
        self.synchronize()?;
        let handles = buffers.iter().map(|(handle, _)| handle.clone()).collect();
        let bytes = self.outcome(fault::quietly(|| block_on(self.client().read_async(handles))))?;
        let words =
            |bytes: &[u8], len| bytes.as_chunks::<4>().0.iter().take(len).map(|&b| u32::from_ne_bytes(b)).collect();
        Ok(bytes.iter().zip(buffers).map(|(bytes, (_, len))| words(bytes, *len)).collect())
    }

    /// The result of waiting for the device, `None` where that panicked.
    fn outcome<T>(&self, result: Option<std::result::Result<T, ServerError>>) -> Result<T> {
        // The first fault says why; the others follow from it.
        match (fault::take(), result) {
            (None, Some(Ok(value))) => Ok(value),
            (None, Some(Err(error))) => Err(self.failure(&error)),
            (None, None) => Err(self.failed("its thread does not answer")),
            (Some(Fault::Refused(error)), _) => Err(error),
            (Some(Fault::Panic(message)), _) => Err(self.panicked(&message)),
        }
    }

    /// What went wrong on the device, without the runtime's backtraces.
    fn failure(&self, error: &ServerError) -> Error {
        match too_big(error) {
            Some(needed) => Error::Memory { device: self.shared.name.clone(), needed },
            None => self.failed(&error.to_string()),
        }
    }

    fn panicked(&self, message: &str) -> Error {
        let message = fault::in_short(message);
        match message.strip_prefix("can't allocate buffer of size: ").and_then(|bytes| bytes.parse().ok()) {
            Some(needed) => Error::Memory { device: self.shared.name.clone(), needed },
            None => self.failed(&message),
        }
    }

    fn failed(&self, message: &str) -> Error {
        let advice = if message.contains("UNSUPPORTED_PTX_VERSION") {
            "NVRTC is newer than the driver: update the driver, or name an older CUDA toolkit in LD_LIBRARY_PATH"
        } else if message.to_lowercase().replace('_', " ").contains("out of memory") {
            "a smaller batch needs less; other programs may hold memory too"
        } else if message.contains("lost") || message.contains("CUDA_ERROR") {
            "this process cannot use it any more: start again; the system's log may say why"
        } else {
            "start again; if it happens again, try another driver, or the CPU"
        };
        let what = format!("the device failed: {}; {advice}", fault::in_short(message));
        Error::Device { device: self.shared.name.clone(), what }
    }
}

/// The size of the allocation that was refused, if that is what happened.
fn too_big(error: &ServerError) -> Option<u64> {
    match error {
        ServerError::Io(IoError::BufferTooBig { size, .. }) => Some(*size),
        ServerError::Io(IoError::Execution(inner)) => too_big(inner),
        ServerError::Launch(LaunchError::IoError(IoError::BufferTooBig { size, .. })) => Some(*size),
        ServerError::ServerUnhealthy { errors, .. } => errors.iter().find_map(too_big),
        _ => None,
    }
}

impl<R: Runtime> Device for Gpu<R> {
    type Scalar = f32;
    type FloatBuffer = Buffer;
    type IntBuffer = IntBuffer;

    fn describe(&self) -> String {
        format!("{}, {}", self.shared.name, self.shared.precision)
    }

    fn upload(&self, values: &[f32]) -> Result<Buffer> {
        Ok(Buffer::new(self.create(bytemuck::cast_slice(values))?, values.len(), Dtype::F32))
    }

    fn download(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        let (mut floats, _) = self.download_all(&[buffer], &[])?;
        Ok(floats.pop().unwrap_or_default())
    }

    fn full(&self, len: usize, value: f32) -> Result<Buffer> {
        self.size(len, Dtype::F32.bytes())?;
        let buffer = self.empty(Dtype::F32, len);
        self.fill(&buffer, value);
        Ok(buffer)
    }

    fn upload_ints(&self, values: &[u32]) -> Result<IntBuffer> {
        Ok(IntBuffer::new(self.create(bytemuck::cast_slice(values))?, values.len()))
    }

    fn upload_bytes(&self, bytes: &[u8]) -> Result<IntBuffer> {
        let words = bytes.len().div_ceil(4);
        if bytes.len() == 4 * words {
            return Ok(IntBuffer::new(self.create(bytes)?, words));
        }
        let mut padded = bytes.to_vec();
        padded.resize(4 * words, 0);
        Ok(IntBuffer::new(self.create(&padded)?, words))
    }

    fn upload_images(&self, bytes: &[u8]) -> Result<IntBuffer> {
        self.upload_beside(bytes)
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

    fn to_activation_dtype(&self, buffer: &Buffer) -> Result<Buffer> {
        Ok(self.cast(buffer, self.activation_dtype()))
    }

    fn bytes(&self, buffer: &Buffer) -> u64 {
        (buffer.len() * buffer.dtype().bytes()) as u64
    }

    fn int_bytes(&self, buffer: &IntBuffer) -> u64 {
        (buffer.len() * size_of::<u32>()) as u64
    }

    fn synchronize(&self) -> Result<()> {
        self.outcome(fault::quietly(|| block_on(self.client().sync())))
    }

    /// What the driver calls free, and what CubeCL holds for later.
    fn memory(&self) -> Option<Memory> {
        let Memory { total, free, is_host } = self.shared.memory.as_ref()?()?;
        let usage = fault::quietly(|| self.client().memory_usage())?.ok()?;
        let held = usage.bytes_reserved.saturating_sub(usage.bytes_in_use);
        Some(Memory { total, free: (free + held).min(total), is_host })
    }
}

impl<R: Runtime> Backend for Gpu<R> {
    fn memory_model(&self) -> MemoryModel {
        self.simulated_memory()
    }
}
