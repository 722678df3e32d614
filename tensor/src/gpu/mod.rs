//! GPU backends over CubeCL: one set of kernels for CUDA and for wgpu (Vulkan, Metal, DirectX 12).
//!
//! Kernels are in files of the same names as the CPU's. They use CubeCL's terms: a unit is a thread, a plane a warp, a
//! cube a thread block. None uses atomics on floating-point numbers, and the order of sums follows from shapes alone: the
//! same device and input give the same bits.
//!
//! Weights, their gradients, statistics and losses are `f32`. Activations are `f32` or, with [`Precision::Bf16`], `bf16`,
//! which has the range of `f32` and so needs no loss scaling. Kernels compute in `f32` whatever they read and write; only
//! the operands of matrix products are rounded to the chosen precision.
//!
//! A `#[cube(launch)]` kernel of your own runs on the [`Buffer`] of a tensor: `examples/own_kernel.rs` shows one. Generic
//! over `F: Float`, computed in `f32`, and launched by [`dispatch!`](dispatch), it respects every precision.

mod activation;
mod adaptive_pool;
mod batch_norm;
mod batch_sums;
mod block_reduce;
mod buffer;
mod cast;
mod conv2d;
mod count;
mod crop_and_normalize;
mod cross_entropy;
mod dropout;
mod elementwise;
mod fault;
mod launch;
mod linear;
mod local2d;
mod lrn;
mod lrn_pool;
mod lrn_windows;
mod matrix;
mod philox;
mod pool;
mod precision;
mod reduce;
mod reduce_axes;
mod relu_bias;
pub mod runtime;
mod sample;
mod simulated_pools;
mod space_to_depth;
mod strided;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
mod unary;
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

use crate::device::sealed::Sealed;
use crate::dry_run::MemoryModel;
use crate::{Backend, Device, Error, HostImages, Memory, Result};
pub use buffer::{Buffer, IntBuffer};
pub use cubecl;
use fault::Fault;
pub use half;
use launch::MAX_LEN;
use matrix::tune::Tuner;
pub use matrix::tune::Tuning;
pub use precision::{Dtype, Precision, dispatch};

/// The remedy for a buffer that is too large.
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
    /// The precisions that the device supports.
    precisions: Vec<Precision>,
    memory: Option<MemoryProbe>,
    tuner: OnceLock<Tuner>,
}

/// Asks the driver for the memory of a device.
type MemoryProbe = Box<dyn Fn() -> Option<Memory> + Send + Sync>;

/// Facts about a device that CubeCL does not know.
struct Identity {
    /// The name in messages.
    name: String,
    /// Precisions that CubeCL offers by mistake.
    unsupported: Vec<Precision>,
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
    /// A backend on a device that is known to exist; see [`runtime`] for finding one. Messages call it `name`.
    ///
    /// # Errors
    /// [`Error::Device`] if the device cannot compute in `precision`.
    pub fn new(device: &R::Device, name: impl Into<String>, precision: Precision) -> Result<Self> {
        let identity = Identity { name: name.into(), unsupported: Vec::new(), memory: None };
        Self::with_client(device, R::client(device), identity, precision)
    }

    fn with_client(
        device: &R::Device,
        client: ComputeClient<R>,
        identity: Identity,
        precision: Precision,
    ) -> Result<Self> {
        let Identity { name, unsupported, memory } = identity;
        let mut precisions = Precision::supported(client.properties());
        precisions.retain(|p| !unsupported.contains(p));
        if !precisions.contains(&precision) {
            let supported = precisions.iter().map(Precision::to_string).collect::<Vec<_>>().join(", ");
            let what = format!("it has no matrix units for {precision}; it computes in {supported}");
            return Err(Error::Device { device: name, what });
        }
        let server = DeviceHandle::new(device.to_id());
        let tuner = OnceLock::new();
        Ok(Self { shared: Arc::new(Shared { client, server, name, precision, precisions, memory, tuner }) })
    }

    /// The precision of matrix products and activations.
    pub fn precision(&self) -> Precision {
        self.shared.precision
    }

    /// The name in messages.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// CubeCL's client of the device, which launches kernels.
    pub fn client(&self) -> &ComputeClient<R> {
        &self.shared.client
    }

    /// CubeCL's handle of the thread that runs the device.
    pub(crate) fn server(&self) -> &DeviceHandle<R::Server> {
        &self.shared.server
    }

    /// The type of activations.
    pub fn activation_dtype(&self) -> Dtype {
        self.shared.precision.activations()
    }

    /// A buffer of arbitrary content, for a kernel that writes every value. If the device cannot have it, the next download
    /// returns the error.
    pub fn empty(&self, dtype: Dtype, len: usize) -> Buffer {
        Buffer::new(self.allocate(len, dtype.bytes()), len, dtype)
    }

    /// A buffer of arbitrary content, as [`empty`](Self::empty) makes them.
    pub fn empty_ints(&self, len: usize) -> IntBuffer {
        IntBuffer::new(self.allocate(len, 4), len)
    }

    /// Memory for `len` values. A size that the device cannot have is an error when results are downloaded, just as one
    /// that it turns out not to have. Until then the handle has no memory, and kernels that use it do not run.
    fn allocate(&self, len: usize, bytes_each: usize) -> Handle {
        match self.size(len, bytes_each) {
            Ok(size) => self.client().empty(size),
            Err(error) => {
                fault::defer(error);
                Handle::new(StreamId::current(), len.saturating_mul(bytes_each) as u64)
            }
        }
    }

    /// The bytes to allocate for `len` values.
    ///
    /// # Errors
    /// [`Error::Device`] if kernels cannot count them, or the device has no buffers as large.
    fn size(&self, len: usize, bytes_each: usize) -> Result<usize> {
        if len > MAX_LEN {
            let what =
                format!("a buffer of {len} numbers is more than the {MAX_LEN} that kernels can count; {SMALLER}");
            return Err(Error::Device { device: self.shared.name.clone(), what });
        }
        // A buffer of no bytes cannot be bound.
        let size = (len * bytes_each).max(4);
        let max_size = self.client().properties().memory.max_page_size;
        if size as u64 > max_size {
            let what = format!("a buffer of {size} bytes is more than the {max_size} that it gives at once; {SMALLER}");
            return Err(Error::Device { device: self.shared.name.clone(), what });
        }
        Ok(size)
    }

    /// Uploads bytes.
    fn create(&self, bytes: &[u8]) -> Result<Handle> {
        self.size(bytes.len() / 4, 4)?;
        Ok(self.client().create_from_slice(if bytes.is_empty() { &[0; 4] } else { bytes }))
    }

    /// Downloads the words of buffers of these lengths, waiting for the device once.
    fn read(&self, buffers: &[(Handle, usize)]) -> Result<Vec<Vec<u32>>> {
        // After a failed launch, some runtimes silently read stale memory: ask for errors first.
        self.synchronize()?;
        let handles = buffers.iter().map(|(handle, _)| handle.clone()).collect();
        let downloads = self.checked(fault::catch_panic(|| block_on(self.client().read_async(handles))))?;
        Ok(downloads.iter().zip(buffers).map(|(bytes, (_, len))| to_words(bytes, *len)).collect())
    }

    /// The result of waiting for the device; `None` stands for a panic.
    fn checked<T>(&self, result: Option<std::result::Result<T, ServerError>>) -> Result<T> {
        // The first fault is the cause; the others follow from it.
        match (fault::take(), result) {
            (None, Some(Ok(value))) => Ok(value),
            (None, Some(Err(error))) => Err(self.server_error(&error)),
            (None, None) => Err(self.device_error("its thread does not answer")),
            (Some(Fault::Deferred(error)), _) => Err(error),
            (Some(Fault::Panic(message)), _) => Err(self.panic_error(&message)),
        }
    }

    /// The error of a request to the device.
    fn server_error(&self, error: &ServerError) -> Error {
        match refused_allocation(error) {
            Some(needed) => Error::Memory { device: self.shared.name.clone(), needed },
            None => self.device_error(&error.to_string()),
        }
    }

    /// The error of a panic of the device's thread.
    fn panic_error(&self, message: &str) -> Error {
        let message = fault::summarize(message);
        match message.strip_prefix("can't allocate buffer of size: ").and_then(|bytes| bytes.parse().ok()) {
            Some(needed) => Error::Memory { device: self.shared.name.clone(), needed },
            None => self.device_error(&message),
        }
    }

    /// A failure of the device, with advice for known causes and without the runtime's backtrace.
    fn device_error(&self, message: &str) -> Error {
        let advice = if message.contains("UNSUPPORTED_PTX_VERSION") {
            "NVRTC is newer than the driver: update the driver, or name an older CUDA toolkit in LD_LIBRARY_PATH"
        } else if message.to_lowercase().replace('_', " ").contains("out of memory") {
            "a smaller batch needs less; other programs may hold memory too"
        } else if message.contains("lost") || message.contains("CUDA_ERROR") {
            "this process cannot use it any more: start again; the system's log may say why"
        } else {
            "start again; if it happens again, try another driver, or the CPU"
        };
        let what = format!("the device failed: {}; {advice}", fault::summarize(message));
        Error::Device { device: self.shared.name.clone(), what }
    }
}

/// The first `len` words of `bytes`.
fn to_words(bytes: &[u8], len: usize) -> Vec<u32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().take(len).map(|&word| u32::from_ne_bytes(word)).collect()
}

/// The size of the allocation that was refused, if that is the cause.
fn refused_allocation(error: &ServerError) -> Option<u64> {
    match error {
        ServerError::Io(IoError::BufferTooBig { size, .. }) => Some(*size),
        ServerError::Io(IoError::Execution(inner)) => refused_allocation(inner),
        ServerError::Launch(LaunchError::IoError(IoError::BufferTooBig { size, .. })) => Some(*size),
        ServerError::ServerUnhealthy { errors, .. } => errors.iter().find_map(refused_allocation),
        _ => None,
    }
}

impl<R: Runtime> Sealed for Gpu<R> {}

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

    fn upload_images(&self, images: &dyn HostImages) -> Result<IntBuffer> {
        self.upload_in_background(images)
    }

    fn download_ints(&self, buffer: &IntBuffer) -> Result<Vec<u32>> {
        let (_, mut ints) = self.download_all(&[], &[buffer])?;
        Ok(ints.pop().unwrap_or_default())
    }

    fn download_all(&self, floats: &[&Buffer], ints: &[&IntBuffer]) -> Result<(Vec<Vec<f32>>, Vec<Vec<u32>>)> {
        let floats: Vec<Buffer> = floats.iter().map(|buffer| self.to_f32(buffer)).collect();
        let mut buffers = floats.iter().map(|b| (b.handle(), b.len())).collect::<Vec<_>>();
        buffers.extend(ints.iter().map(|b| (b.handle(), b.len())));
        let mut float_words = self.read(&buffers)?;
        let int_words = float_words.split_off(floats.len());
        let float_values = float_words.into_iter().map(|words| words.into_iter().map(f32::from_bits).collect());
        Ok((float_values.collect(), int_words))
    }

    fn is_asynchronous(&self) -> bool {
        true
    }

    fn to_activation_dtype(&self, buffer: &Buffer) -> Result<Buffer> {
        Ok(self.cast(buffer, self.activation_dtype()))
    }

    fn buffer_len(&self, buffer: &Buffer) -> usize {
        buffer.len()
    }

    fn int_buffer_len(&self, buffer: &IntBuffer) -> usize {
        buffer.len()
    }

    fn bytes(&self, buffer: &Buffer) -> u64 {
        (buffer.len() * buffer.dtype().bytes()) as u64
    }

    fn int_bytes(&self, buffer: &IntBuffer) -> u64 {
        (buffer.len() * size_of::<u32>()) as u64
    }

    fn synchronize(&self) -> Result<()> {
        self.checked(fault::catch_panic(|| block_on(self.client().sync())))
    }

    /// Free memory is that of the driver plus what CubeCL holds for reuse.
    fn memory(&self) -> Option<Memory> {
        let Memory { total, free, is_host } = self.shared.memory.as_ref()?()?;
        let usage = fault::catch_panic(|| self.client().memory_usage())?.ok()?;
        let held = usage.bytes_reserved.saturating_sub(usage.bytes_in_use);
        Some(Memory { total, free: (free + held).min(total), is_host })
    }
}

impl<R: Runtime> Backend for Gpu<R> {
    fn memory_model(&self) -> MemoryModel {
        self.simulated_memory()
    }
}
