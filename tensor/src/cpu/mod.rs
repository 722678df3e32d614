//! The CPU backend: rayon threads, matrix products by the `gemm` crates, and NHWC loops that are vectorised along
//! channels.
//!
//! Work is partitioned by shape, never by the number of threads, so results are bit-identical for any number of
//! threads.

mod activation;
mod adaptive_pool;
mod arena;
mod batch_norm;
mod best_fit;
mod bf16;
mod buffer;
mod compiled;
mod conv2d;
mod count;
mod crop_and_normalize;
mod cross_entropy;
mod debug_build;
mod dropout;
mod elementwise;
mod exponential;
mod gemv;
mod host_memory;
mod im2col;
mod int8;
mod linear;
mod local2d;
mod lrn;
mod lrn_pool;
mod lrn_rows;
mod matrix;
mod microkernel;
mod philox_simd;
mod pool;
mod pool_rows;
mod reduce;
mod reduce_axes;
mod relu_bias;
mod reserved_memory;
mod sample;
mod simd;
mod simulated_arena;
mod strided;
mod unary;
mod update;
mod values;
mod weight_cache;
mod winograd;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::device::sealed::Sealed;
use crate::dry_run::MemoryModel;
use crate::{Backend, Device, Dtype, Element, Error, Memory, Precision, Result};
use arena::Arena;
pub use buffer::Buffer;
use buffer::{BufferAllocator, Narrow};
pub(crate) use compiled::CompiledKernels;
pub(crate) use matrix::Gemm;

/// The CPU: a pool of threads that computes in the number format `E`.
///
/// ```
/// use alexnet_tensor::{Algorithms, Cpu};
///
/// let cpu = Cpu::<f32>::new(2)?;
/// assert_eq!(cpu.threads(), 2);
/// let exact = Cpu::<f32>::with_algorithms(1, Algorithms::Exact)?;
/// let for_gradient_checks = Cpu::<f64>::new(1)?;
/// # Ok::<(), alexnet_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct Cpu<E: Element> {
    shared: Arc<Shared<E>>,
    /// The type of activations.
    activations: Dtype,
    /// Whether weights are rounded to 8 bits on request.
    has_int8_weights: bool,
}

/// The algorithms of convolutions in single precision. Double precision always uses [`Exact`](Self::Exact).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithms {
    /// Winograd's algorithm for 3x3 and 5x5 kernels where it is faster, with an error of up to 1e-5 of the sum of the
    /// terms' absolute values.
    #[default]
    Fast,
    /// Plain sums of products, with an error of 1e-6.
    Exact,
}

struct Shared<E> {
    threads: rayon::ThreadPool,
    algorithms: Algorithms,
    arena: Arc<Arena>,
    floats: Arc<BufferAllocator<E>>,
    ints: Arc<BufferAllocator<u32>>,
    /// The values of `floats` that are stored in `bf16`.
    halves: Arc<BufferAllocator<u16>>,
    /// Those that are stored in 8 bits.
    bytes: Arc<BufferAllocator<i8>>,
}

impl<E: Element> Cpu<E> {
    /// A backend with `threads` threads.
    ///
    /// # Errors
    /// [`Error::Argument`] for 0 threads, [`Error::Device`] if the system cannot start them.
    pub fn new(threads: usize) -> Result<Self> {
        Self::with_algorithms(threads, Algorithms::default())
    }

    /// A backend with `threads` threads and the given algorithms.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_algorithms(threads: usize, algorithms: Algorithms) -> Result<Self> {
        if threads == 0 {
            return Err(Error::argument("cpu", "the number of threads must be at least 1, got 0"));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("kernel-{i}"))
            .build()
            .map_err(|e| Error::Device {
                device: "cpu".into(),
                what: format!("cannot start {threads} threads: {e}"),
            })?;
        let arena = Arc::<Arena>::default();
        let floats = Arc::new(BufferAllocator::new(Arc::clone(&arena)));
        let ints = Arc::new(BufferAllocator::new(Arc::clone(&arena)));
        let halves = Arc::new(BufferAllocator::new(Arc::clone(&arena)));
        let bytes = Arc::new(BufferAllocator::new(Arc::clone(&arena)));
        let shared = Shared { threads: pool, algorithms, arena, floats, ints, halves, bytes };
        Ok(Self { shared: Arc::new(shared), activations: Dtype::F32, has_int8_weights: false })
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.shared.threads.current_num_threads()
    }

    /// Bytes taken from the system for buffers: those in use, and those kept for later buffers.
    pub fn allocated_bytes(&self) -> u64 {
        let Shared { arena, floats, ints, halves, bytes, .. } = &*self.shared;
        let short = [floats.short_bytes(), ints.short_bytes(), halves.short_bytes(), bytes.short_bytes()];
        arena.bytes() + short.iter().sum::<u64>()
    }

    /// The type of activations: `bf16` by [`with_precision`](Self::with_precision), else that of all values.
    pub(crate) fn activations(&self) -> Dtype {
        self.activations
    }

    /// This backend, if it computes in single precision and may use fast algorithms.
    pub(crate) fn fast(&self) -> Option<&Cpu<f32>> {
        self.single().filter(|cpu| cpu.shared.algorithms == Algorithms::Fast)
    }

    /// This backend, if it computes in single precision.
    pub(crate) fn single(&self) -> Option<&Cpu<f32>> {
        (self as &dyn std::any::Any).downcast_ref()
    }

    /// The name of the precision.
    fn format(&self) -> &'static str {
        match self.activations {
            _ if self.has_int8_weights => "int8",
            Dtype::F32 => E::NAME,
            Dtype::Bf16 => "bf16",
        }
    }

    /// Runs `work` on the backend's threads. Parallel loops of rayon in it use no others.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.shared.threads.install(work)
    }

    /// A buffer of arbitrary content, to be overwritten.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system has too little memory.
    pub fn alloc(&self, len: usize) -> Result<Buffer<E>> {
        self.shared.floats.alloc(len)
    }

    /// A buffer in `bf16` of arbitrary content, to be overwritten. E is `f32`.
    pub(crate) fn alloc_bf16(&self, len: usize) -> Result<Buffer<E>> {
        let values = self.shared.halves.alloc(len)?;
        Ok(Buffer::of_narrow(&self.shared.floats, Narrow::Bf16(values)))
    }

    /// A buffer of 16-bit values of arbitrary content, to be overwritten: a workspace.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub(crate) fn alloc_halves(&self, len: usize) -> Result<Buffer<u16>> {
        self.shared.halves.alloc(len)
    }

    /// A buffer of 8-bit integers of arbitrary content, to be overwritten.
    pub(crate) fn alloc_int8(&self, len: usize) -> Result<Buffer<i8>> {
        self.shared.bytes.alloc(len)
    }

    /// A buffer of integers of arbitrary content, to be overwritten.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system has too little memory.
    pub fn alloc_ints(&self, len: usize) -> Result<Buffer<u32>> {
        self.shared.ints.alloc(len)
    }
}

impl Cpu<f32> {
    /// The processor's unit for products in `bf16`: `amx-bf16` or `avx512-bf16`, if it has one that the environment
    /// variable `ALEXNET_SIMD` allows.
    pub fn bf16_unit() -> Option<&'static str> {
        bf16::unit_name()
    }

    /// This backend with activations and the operands of matrix products in another precision.
    ///
    /// In `bf16`, buffers of activations take half the memory, and products run on the processor's `bf16` units (AMX or
    /// AVX512-BF16) where it has them. Elsewhere operands are widened to `f32`: correct, but slower than `f32`. Weights,
    /// gradients of weights, sums and losses stay `f32`.
    ///
    /// In `int8`, for prediction, [`to_weight_dtype`](crate::Tensor::to_weight_dtype) rounds matrices of weights to 8 bits
    /// with a scale per row; the rest is `bf16` where the processor has a unit for it, else `f32`.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Precision, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?.with_precision(Precision::Bf16)?;
    /// let x = Tensor::from_slice(&cpu, &[2], &[1.0, 1.001])?.to_activation_dtype()?;
    /// assert!(x.buffer().is_bf16());
    /// assert_eq!(x.to_vec()?, [1.0, 1.0], "8 significant bits");
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for `tf32`, which only GPUs have.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self> {
        if precision == Precision::Tf32 {
            return Err(Error::argument("cpu", "it computes in f32, bf16 or int8, not in tf32"));
        }
        self.has_int8_weights = precision == Precision::Int8;
        let in_bf16 = self.has_int8_weights && Self::bf16_unit().is_some();
        self.activations = if in_bf16 { Dtype::Bf16 } else { precision.activations() };
        Ok(self)
    }
}

impl Cpu<f32> {
    /// The precision of activations and matrix products.
    pub fn precision(&self) -> Precision {
        match self.activations {
            _ if self.has_int8_weights => Precision::Int8,
            Dtype::F32 => Precision::F32,
            Dtype::Bf16 => Precision::Bf16,
        }
    }
}

impl<E: Element> fmt::Debug for Cpu<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cpu<{}>({} threads)", self.format(), self.threads())
    }
}

impl<E: Element> Sealed for Cpu<E> {}

impl<E: Element> Device for Cpu<E> {
    type Scalar = E;
    type FloatBuffer = Buffer<E>;
    type IntBuffer = Buffer<u32>;

    fn describe(&self) -> String {
        format!("CPU, {}, {} threads", self.format(), self.threads())
    }

    fn upload(&self, values: &[E]) -> Result<Buffer<E>> {
        self.shared.floats.copy_of(values)
    }

    fn download(&self, buffer: &Buffer<E>) -> Result<Vec<E>> {
        self.prepare_wide(buffer)?;
        buffer.to_vec()
    }

    fn read<'a>(&self, buffer: &'a Buffer<E>) -> Result<Cow<'a, [E]>> {
        self.prepare_wide(buffer)?;
        Ok(Cow::Borrowed(buffer.as_slice()))
    }

    fn to_activation_dtype(&self, buffer: &Buffer<E>) -> Result<Buffer<E>> {
        match self.activations {
            Dtype::F32 => Ok(buffer.clone()),
            Dtype::Bf16 => self.to_bf16(buffer),
        }
    }

    fn to_weight_dtype(&self, buffer: &Buffer<E>, rows: usize) -> Result<Buffer<E>> {
        let Some(cpu) = self.single().filter(|cpu| cpu.has_int8_weights && rows > 0 && buffer.int8().is_none()) else {
            return Ok(buffer.clone());
        };
        self.prepare_wide(buffer)?;
        let values = bytemuck::cast_slice(buffer.as_slice());
        let matrix = int8::Int8Matrix::new(cpu, rows, values.len() / rows, values)?;
        Ok(Buffer::of_narrow(&self.shared.floats, Narrow::Int8(matrix)))
    }

    fn full(&self, len: usize, value: E) -> Result<Buffer<E>> {
        E::full(self, len, value)
    }

    fn upload_ints(&self, values: &[u32]) -> Result<Buffer<u32>> {
        self.shared.ints.copy_of(values)
    }

    fn reads_host_memory(&self) -> bool {
        true
    }

    fn download_ints(&self, buffer: &Buffer<u32>) -> Result<Vec<u32>> {
        buffer.to_vec()
    }

    fn memory(&self) -> Option<Memory> {
        host_memory::read()
    }

    fn buffer_len(&self, buffer: &Buffer<E>) -> usize {
        buffer.len()
    }

    fn int_buffer_len(&self, buffer: &Buffer<u32>) -> usize {
        buffer.as_slice().len()
    }

    fn bytes(&self, buffer: &Buffer<E>) -> u64 {
        buffer.bytes() as u64
    }

    fn int_bytes(&self, buffer: &Buffer<u32>) -> u64 {
        size_of_val(buffer.as_slice()) as u64
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}

impl<E: Element> Backend for Cpu<E> {
    fn memory_model(&self) -> MemoryModel {
        let bytes = size_of::<E>();
        MemoryModel {
            weight_bytes: bytes,
            activation_bytes: match self.activations {
                Dtype::F32 => bytes,
                Dtype::Bf16 => Dtype::Bf16.bytes(),
            },
            allocator: Box::new(simulated_arena::SimulatedArena::default()),
        }
    }
}
