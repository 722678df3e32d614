//! Predicts memory: a backend that computes nothing and counts the bytes that another backend would allocate.
//!
//! Its buffers are lengths. Its kernels allocate their outputs and their workspace, then free the workspace. The program's
//! own training step, run on a [`DryRun`], thus finds the peak memory in milliseconds, without a formula to maintain.
//!
//! ```
//! use alexnet_tensor::{Cpu, DryRun, Result, Tensor};
//!
//! # fn main() -> Result<()> {
//! let dry_run = DryRun::new(Cpu::<f32>::new(1)?);
//! let x = Tensor::zeros(&dry_run, &[1024, 512])?;
//! let w = Tensor::zeros(&dry_run, &[256, 512])?;
//! let y = x.linear(&w, None, true)?;
//! drop(x);
//! assert!(dry_run.peak() >= 4 * (1024 * 512 + 256 * 512 + 1024 * 256));
//! assert_eq!(dry_run.in_use(), 4 * (256 * 512 + 1024 * 256));
//! # Ok(())
//! # }
//! ```

mod allocator;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::device::sealed::Sealed;
use crate::{Alloc, Backend, Device, Element, Error, Kernel, Operands, Operation, Outputs, Result, Workspace};
#[doc(hidden)]
pub use allocator::{Allocator, Counter};

/// How a device allocates memory.
#[doc(hidden)]
pub struct MemoryModel {
    /// Bytes of a weight, a gradient of weights, or a statistic.
    pub weight_bytes: usize,
    /// Bytes of an activation.
    pub activation_bytes: usize,
    /// The device's allocator.
    pub allocator: Box<dyn Allocator>,
}

impl Default for MemoryModel {
    fn default() -> Self {
        Self { weight_bytes: 4, activation_bytes: 4, allocator: Box::new(Counter::default()) }
    }
}

/// A backend that allocates like `B` and computes nothing. Downloads are zeros.
#[derive(Clone)]
pub struct DryRun<B: Backend> {
    device: B,
    shared: Arc<Shared>,
}

struct Shared {
    weight_bytes: usize,
    activation_bytes: usize,
    ledger: Mutex<Ledger>,
}

struct Ledger {
    allocator: Box<dyn Allocator>,
    in_use: u64,
    peak: u64,
}

/// The most bytes of a buffer, so that sums of bytes do not overflow.
const MAX_BYTES: u64 = 1 << 56;

impl<B: Backend> DryRun<B> {
    /// A dry run of `device`, with no memory allocated.
    pub fn new(device: B) -> Self {
        let MemoryModel { weight_bytes, activation_bytes, allocator } = device.memory_model();
        let ledger = Mutex::new(Ledger { allocator, in_use: 0, peak: 0 });
        Self { device, shared: Arc::new(Shared { weight_bytes, activation_bytes, ledger }) }
    }

    /// The peak of the bytes that the device's allocator reserved.
    pub fn peak(&self) -> u64 {
        self.shared.lock().peak
    }

    /// Bytes of the buffers that are alive.
    pub fn in_use(&self) -> u64 {
        self.shared.lock().in_use
    }

    fn allocate(&self, block: Block) -> Result<Buffer> {
        if block.size() > MAX_BYTES {
            return Err(Error::Memory { device: self.describe(), needed: block.size() });
        }
        let mut ledger = self.shared.lock();
        let location = ledger.allocator.allocate(&block)?;
        ledger.in_use += block.size();
        ledger.peak = ledger.peak.max(ledger.allocator.reserved());
        drop(ledger);
        let shared = Arc::clone(&self.shared);
        let allocation =
            Allocation { block, location: Some(location), shared, cache: Mutex::default(), wide: Mutex::default() };
        Ok(Buffer { allocation: Arc::new(allocation) })
    }

    /// Allocates and frees the workspace of a kernel. Transformed weights may stay in the cache of their buffer.
    fn use_workspace(&self, workspace: Workspace, weights: Option<&Buffer>) -> Result<()> {
        let Workspace { buffers, cached_weights } = workspace;
        let _transformed = match weights {
            Some(weights) if cached_weights > 0 => self.transform(weights, cached_weights)?,
            _ => None,
        };
        buffers.into_iter().map(|len| self.weights(len)).collect::<Result<Vec<_>>>()?;
        Ok(())
    }

    /// Allocates the transformed weights, and returns them unless they are cached.
    fn transform(&self, weights: &Buffer, len: usize) -> Result<Option<Buffer>> {
        let mut cache = weights.allocation.cache();
        match &*cache {
            Cache::Filled(_) => Ok(None),
            Cache::Unused => {
                *cache = Cache::Used;
                self.weights(len).map(Some)
            }
            Cache::Used => {
                *cache = Cache::Filled(self.weights(len)?);
                Ok(None)
            }
        }
    }

    fn is_narrow(&self, buffer: &Buffer) -> bool {
        let block = buffer.block();
        block.kind == BlockKind::Floats && block.bytes < self.shared.weight_bytes
    }

    /// Allocates the copy of a narrow buffer in the format of weights, which it keeps.
    fn widen(&self, buffer: &Buffer) -> Result<()> {
        let mut wide = buffer.allocation.wide.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_narrow(buffer) && wide.is_none() {
            *wide = Some(self.weights(buffer.block().len)?);
        }
        Ok(())
    }

    /// Copies a shared buffer before a kernel writes to it in place.
    fn make_unique(&self, buffer: &mut Buffer) -> Result<()> {
        match Arc::get_mut(&mut buffer.allocation) {
            Some(allocation) => *allocation.cache() = Cache::Unused,
            None => *buffer = self.like(buffer, buffer.block().len)?,
        }
        Ok(())
    }
}

impl<B: Backend> fmt::Debug for DryRun<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DryRun({} bytes in use, {} at most)", self.in_use(), self.peak())
    }
}

impl<B: Backend> Alloc<Buffer, Buffer> for DryRun<B> {
    fn weights(&self, len: usize) -> Result<Buffer> {
        self.allocate(Block { kind: BlockKind::Floats, len, bytes: self.shared.weight_bytes })
    }

    fn activations(&self, len: usize) -> Result<Buffer> {
        self.allocate(Block { kind: BlockKind::Floats, len, bytes: self.shared.activation_bytes })
    }

    fn like(&self, operand: &Buffer, len: usize) -> Result<Buffer> {
        self.allocate(Block { len, ..*operand.block() })
    }

    /// Converts narrower operands first.
    fn like_widest(&self, operands: &[&Buffer], len: usize) -> Result<Buffer> {
        let bytes = operands.iter().map(|operand| operand.block().bytes).max().unwrap_or(self.shared.weight_bytes);
        let narrower = operands.iter().filter(|operand| operand.block().bytes < bytes);
        let convert = |operand: &&Buffer| self.allocate(Block { bytes, ..*operand.block() });
        let _converted = narrower.map(convert).collect::<Result<Vec<_>>>()?;
        self.allocate(Block { kind: BlockKind::Floats, len, bytes })
    }

    fn ints(&self, len: usize) -> Result<Buffer> {
        self.allocate(Block { kind: BlockKind::Ints, len, bytes: 4 })
    }
}

impl<B: Backend + Kernel<O>, O: Operation> Kernel<O> for DryRun<B> {
    fn run(&self, op: &O, mut operands: O::In<'_, Buffer, Buffer>) -> Result<O::Out<Buffer, Buffer>> {
        if self.device.runs_in_place(op) {
            operands.in_place().into_iter().try_for_each(|buffer| self.make_unique(buffer))?;
        } else {
            let len = operands.floats()[0].block().len;
            let replacement = self.like_widest(&operands.floats(), len)?;
            operands.in_place().into_iter().for_each(|buffer| *buffer = replacement.clone());
        }
        if self.device.widens_bf16(op) {
            operands.floats().into_iter().try_for_each(|operand| self.widen(operand))?;
        }
        let outputs = op.outputs(&operands, self)?;
        if self.device.widens_bf16(op) {
            let narrow = outputs.floats().iter().filter(|output| self.is_narrow(output));
            let _wide = narrow.map(|output| self.weights(output.block().len)).collect::<Result<Vec<_>>>()?;
        }
        self.use_workspace(self.device.workspace(op), operands.floats().get(1).copied())?;
        Ok(outputs)
    }

    fn is_fused(&self, op: &O) -> bool {
        self.device.is_fused(op)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The type of a buffer's values.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockKind {
    /// Floating-point numbers.
    Floats,
    /// Integers.
    Ints,
}

/// A request to an [`Allocator`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// The type of the values.
    pub kind: BlockKind,
    /// The number of values.
    pub len: usize,
    /// Bytes of a value.
    pub bytes: usize,
}

impl Block {
    /// Bytes of all values.
    pub fn size(&self) -> u64 {
        (self.len as u64).saturating_mul(self.bytes as u64)
    }
}

/// A buffer without values: its length and its simulated memory. Clones share the memory.
#[derive(Clone)]
pub struct Buffer {
    allocation: Arc<Allocation>,
}

impl Buffer {
    fn block(&self) -> &Block {
        &self.allocation.block
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.block().fmt(f)
    }
}

struct Allocation {
    block: Block,
    /// Taken when the memory is freed.
    location: Option<Box<dyn Any + Send + Sync>>,
    shared: Arc<Shared>,
    cache: Mutex<Cache>,
    /// The copy of narrow values for kernels that have only the wider format.
    wide: Mutex<Option<Buffer>>,
}

/// The cache of a buffer's transformed weights, which is filled at their second use.
#[derive(Default)]
enum Cache {
    #[default]
    Unused,
    Used,
    Filled(#[expect(dead_code, reason = "it takes memory")] Buffer),
}

impl Allocation {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        let mut ledger = self.shared.lock();
        ledger.in_use -= self.block.size();
        if let Some(location) = self.location.take() {
            ledger.allocator.free(&self.block, location);
        }
    }
}

impl<B: Backend> Sealed for DryRun<B> {}

impl<B: Backend> Device for DryRun<B> {
    type Scalar = B::Scalar;
    type FloatBuffer = Buffer;
    type IntBuffer = Buffer;

    fn describe(&self) -> String {
        format!("a dry run of {}", self.device.describe())
    }

    fn upload(&self, values: &[B::Scalar]) -> Result<Buffer> {
        self.weights(values.len())
    }

    fn download(&self, buffer: &Buffer) -> Result<Vec<B::Scalar>> {
        Ok(vec![B::Scalar::of(0.0); buffer.block().len])
    }

    fn full(&self, len: usize, _value: B::Scalar) -> Result<Buffer> {
        self.weights(len)
    }

    fn upload_ints(&self, values: &[u32]) -> Result<Buffer> {
        self.ints(values.len())
    }

    fn download_ints(&self, buffer: &Buffer) -> Result<Vec<u32>> {
        Ok(vec![0; buffer.block().len])
    }

    fn to_activation_dtype(&self, buffer: &Buffer) -> Result<Buffer> {
        if buffer.block().bytes == self.shared.activation_bytes {
            return Ok(buffer.clone());
        }
        self.activations(buffer.block().len)
    }

    fn reads_host_memory(&self) -> bool {
        self.device.reads_host_memory()
    }

    fn buffer_len(&self, buffer: &Buffer) -> usize {
        buffer.block().len
    }

    fn int_buffer_len(&self, buffer: &Buffer) -> usize {
        buffer.block().len
    }

    fn bytes(&self, buffer: &Buffer) -> u64 {
        buffer.block().size()
    }

    fn int_bytes(&self, buffer: &Buffer) -> u64 {
        buffer.block().size()
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}

impl<B: Backend> Backend for DryRun<B> {}
