//! The CPU backend: rayon threads, the `gemm` crate, NHWC loops that the compiler vectorises along channels.
//!
//! Work is cut into pieces that follow from shapes alone, and sums are taken in an order that does too: results do not
//! depend on the number of threads.

mod activation;
mod arena;
mod batch_norm;
mod buffer;
mod conv2d;
mod count;
mod cross_entropy;
mod dropout;
mod elementwise;
mod exponential;
mod kept;
mod linear;
mod local2d;
mod lrn;
mod lrn_pool;
mod lrn_rows;
mod matrix;
mod memory;
mod one_row;
mod patch;
mod pool;
mod pool_rows;
mod prepare;
mod range;
mod reduce;
mod relu_bias;
mod sample;
mod simd;
mod simulated_arena;
mod space;
mod tile;
mod update;
mod winograd;
mod words;

use std::fmt;
use std::sync::Arc;

use crate::dry_run::MemoryModel;
use crate::{Backend, Device, Element, Error, Memory, Result};
use arena::Arena;
pub use buffer::Buffer;
use buffer::Pool;

/// The CPU, computing in `E` on a pool of threads of its own.
#[derive(Clone)]
pub struct Cpu<E: Element> {
    shared: Arc<Shared<E>>,
}

/// Which algorithms convolutions may use in single precision; double precision is always exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithms {
    /// Those with fewer multiplications, too, where they pay: Winograd's for 3x3 and 5x5 kernels, whose errors are up to
    /// 1e-5 of what the terms' absolute values add up to.
    #[default]
    Fast,
    /// Plain sums of products only.
    Exact,
}

struct Shared<E> {
    threads: rayon::ThreadPool,
    algorithms: Algorithms,
    arena: Arc<Arena>,
    floats: Arc<Pool<E>>,
    ints: Arc<Pool<u32>>,
}

impl<E: Element> Cpu<E> {
    /// A backend on `threads` threads.
    ///
    /// # Errors
    /// [`Error::Argument`] for 0 threads, [`Error::Device`] if the system refuses them.
    pub fn new(threads: usize) -> Result<Self> {
        Self::with_algorithms(threads, Algorithms::default())
    }

    /// A backend on `threads` threads that uses these algorithms.
    ///
    /// # Errors
    /// As [`new`](Self::new).
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
        let floats = Arc::new(Pool::new(Arc::clone(&arena)));
        let ints = Arc::new(Pool::new(Arc::clone(&arena)));
        Ok(Self { shared: Arc::new(Shared { threads: pool, algorithms, arena, floats, ints }) })
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.shared.threads.current_num_threads()
    }

    /// Bytes taken from the system for buffers: for those in use, and what others left for the next.
    pub fn allocated_bytes(&self) -> u64 {
        let Shared { arena, floats, ints, .. } = &*self.shared;
        arena.bytes() + floats.short_bytes() + ints.short_bytes()
    }

    /// This backend where it computes in single precision and may use fast algorithms.
    pub(crate) fn fast(&self) -> Option<&Cpu<f32>> {
        self.single().filter(|cpu| cpu.shared.algorithms == Algorithms::Fast)
    }

    /// This backend where it computes in single precision.
    pub(crate) fn single(&self) -> Option<&Cpu<f32>> {
        (self as &dyn std::any::Any).downcast_ref()
    }

    /// Runs `work` on the backend's threads: rayon's parallel loops inside use them and no others.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.shared.threads.install(work)
    }

    /// A buffer to be written in full: its content is arbitrary.
    pub(crate) fn take(&self, len: usize) -> Result<Buffer<E>> {
        self.shared.floats.take(len)
    }

    /// A buffer to be written in full: its content is arbitrary.
    pub(crate) fn take_ints(&self, len: usize) -> Result<Buffer<u32>> {
        self.shared.ints.take(len)
    }
}

impl<E: Element> fmt::Debug for Cpu<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cpu<{}>({} threads)", E::NAME, self.threads())
    }
}

impl<E: Element> Device for Cpu<E> {
    type Scalar = E;
    type FloatBuffer = Buffer<E>;
    type IntBuffer = Buffer<u32>;

    fn describe(&self) -> String {
        format!("CPU, {}, {} threads", E::NAME, self.threads())
    }

    fn upload(&self, values: &[E]) -> Result<Buffer<E>> {
        self.shared.floats.copy_of(values)
    }

    fn download(&self, buffer: &Buffer<E>) -> Result<Vec<E>> {
        buffer.to_vec()
    }

    fn full(&self, len: usize, value: E) -> Result<Buffer<E>> {
        let mut buffer = self.take(len)?;
        buffer.make_mut()?.fill(value);
        Ok(buffer)
    }

    fn upload_ints(&self, values: &[u32]) -> Result<Buffer<u32>> {
        self.shared.ints.copy_of(values)
    }

    fn upload_bytes(&self, bytes: &[u8]) -> Result<Buffer<u32>> {
        let mut buffer = self.take_ints(bytes.len().div_ceil(4))?;
        let words = buffer.make_mut()?;
        if let Some(last) = words.last_mut() {
            *last = 0;
        }
        bytemuck::cast_slice_mut(words)[..bytes.len()].copy_from_slice(bytes);
        if cfg!(target_endian = "big") {
            words.iter_mut().for_each(|word| *word = word.swap_bytes());
        }
        Ok(buffer)
    }

    fn download_ints(&self, buffer: &Buffer<u32>) -> Result<Vec<u32>> {
        buffer.to_vec()
    }

    fn memory(&self) -> Option<Memory> {
        memory::of_the_system()
    }

    fn bytes(&self, buffer: &Buffer<E>) -> u64 {
        size_of_val(buffer.as_slice()) as u64
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
            activation_bytes: bytes,
            allocator: Box::new(simulated_arena::SimulatedArena::default()),
        }
    }
}
