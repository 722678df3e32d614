//! Reference-counted buffers, whose memory returns to the arena with the last reference.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytemuck::Pod;

use super::arena::{Arena, Block};
use super::bf16::{widen_chunk, widen_in_chunks};
use super::int8::Int8Matrix;
use super::weight_cache::WeightCache;
use crate::{Error, Result};

/// Allocates buffers of one type from the device's [`Arena`], which all types share. New memory costs page faults, so
/// the arena keeps its memory while the device exists, unless the system has no more.
pub(crate) struct BufferAllocator<T> {
    arena: Arc<Arena>,
    /// The number of values in the buffers too short for the arena.
    short_values: AtomicUsize,
    of: PhantomData<fn() -> T>,
}

/// Buffers of fewer values come from the global allocator.
pub(crate) const MIN_ARENA_LEN: usize = 4096;

impl<T: Pod> BufferAllocator<T> {
    pub fn new(arena: Arc<Arena>) -> Self {
        Self { arena, short_values: AtomicUsize::new(0), of: PhantomData }
    }

    /// A buffer of `len` values of arbitrary content.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system has too little memory.
    pub fn alloc(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        let memory =
            if len < MIN_ARENA_LEN { self.alloc_short(len) } else { self.arena.alloc(bytes).map(Memory::Long) };
        let memory = memory.ok_or_else(|| Error::Memory { device: "cpu".into(), needed: bytes })?;
        Ok(self.buffer(memory, len))
    }

    fn buffer(self: &Arc<Self>, memory: Memory<T>, len: usize) -> Buffer<T> {
        let inner = Inner { memory, len, allocator: Arc::clone(self), weight_cache: WeightCache::default() };
        Buffer { inner: Arc::new(inner) }
    }

    /// A copy of `values`.
    pub fn copy_of(self: &Arc<Self>, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.alloc(values.len())?;
        buffer.make_mut()?.copy_from_slice(values);
        Ok(buffer)
    }

    /// A copy of narrow values in `f32`. The caller cannot fail, so the program ends if there is no memory for it.
    fn widened(self: &Arc<Self>, values: &Narrow) -> Buffer<T> {
        let short = || self.buffer(Memory::Short(bytemuck::zeroed_vec(values.len() + CACHE_LINE)), values.len());
        let mut buffer = self.alloc(values.len()).unwrap_or_else(|_| short());
        if let Some(inner) = Arc::get_mut(&mut buffer.inner) {
            values.widen(bytemuck::cast_slice_mut(inner.values_mut()));
        }
        buffer
    }

    /// Bytes of the buffers too short for the arena.
    pub fn short_bytes(&self) -> u64 {
        (self.short_values.load(Ordering::Relaxed) * size_of::<T>()) as u64
    }

    fn alloc_short(&self, len: usize) -> Option<Memory<T>> {
        let room_to_align = const { CACHE_LINE / size_of::<T>() };
        let values = bytemuck::allocation::try_zeroed_vec(len + room_to_align).ok()?;
        self.short_values.fetch_add(len, Ordering::Relaxed);
        Some(Memory::Short(values))
    }
}

enum Memory<T> {
    /// Longer than the buffer; its values start at a cache line.
    Short(Vec<T>),
    Long(Block),
    /// Rounded `f32` values, and their copy in `f32` for readers that need one.
    Narrow {
        values: Narrow,
        wide: OnceLock<Buffer<T>>,
    },
}

/// Values in `f32` that are stored in fewer bits.
pub(super) enum Narrow {
    Bf16(Buffer<u16>),
    Int8(Int8Matrix),
}

impl Narrow {
    fn len(&self) -> usize {
        match self {
            Self::Bf16(values) => values.len(),
            Self::Int8(matrix) => matrix.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Bf16(values) => values.bytes(),
            Self::Int8(matrix) => matrix.bytes(),
        }
    }

    /// Copies the values to `f32`, on this thread.
    fn widen(&self, to: &mut [f32]) {
        match self {
            Self::Bf16(values) => widen_chunk(values.as_slice(), to),
            Self::Int8(matrix) => matrix.widen(to),
        }
    }

    /// Copies the values to `f32`, on the threads of the caller's pool.
    pub fn widen_in_parallel(&self, to: &mut [f32]) {
        match self {
            Self::Bf16(values) => widen_in_chunks(values.as_slice(), to),
            Self::Int8(matrix) => matrix.widen_in_parallel(to),
        }
    }
}

struct Inner<T> {
    memory: Memory<T>,
    len: usize,
    allocator: Arc<BufferAllocator<T>>,
    weight_cache: WeightCache<T>,
}

impl<T: Pod> Inner<T> {
    fn values(&self) -> &[T] {
        match &self.memory {
            Memory::Short(values) => &values[aligned(values, self.len)],
            // SAFETY: the block has initialised bytes for `len` values and starts at a page. All bits are valid for a
            // `Pod` type, and the block belongs to this buffer alone.
            Memory::Long(block) => unsafe { std::slice::from_raw_parts(block.start().cast().as_ptr(), self.len) },
            Memory::Narrow { values, wide } => wide.get_or_init(|| self.allocator.widened(values)).as_slice(),
        }
    }

    fn values_mut(&mut self) -> &mut [T] {
        match &mut self.memory {
            Memory::Short(values) => {
                let range = aligned(values, self.len);
                &mut values[range]
            }
            // SAFETY: as above, and the buffer is borrowed mutably.
            Memory::Long(block) => unsafe { std::slice::from_raw_parts_mut(block.start().cast().as_ptr(), self.len) },
            Memory::Narrow { .. } => unreachable!("values are widened before they are written"),
        }
    }
}

impl<T: Pod> Buffer<T> {
    /// A buffer of `f32` over values that are stored in fewer bits. `T` is `f32`.
    pub(super) fn of_narrow(allocator: &Arc<BufferAllocator<T>>, values: Narrow) -> Self {
        let len = values.len();
        allocator.buffer(Memory::Narrow { values, wide: OnceLock::new() }, len)
    }

    fn narrow(&self) -> Option<&Narrow> {
        match &self.inner.memory {
            Memory::Narrow { values, .. } => Some(values),
            Memory::Short(_) | Memory::Long(_) => None,
        }
    }

    /// The values, if they are a matrix of 8-bit integers with scales.
    pub(super) fn int8(&self) -> Option<&Int8Matrix> {
        match self.narrow() {
            Some(Narrow::Int8(matrix)) => Some(matrix),
            _ => None,
        }
    }

    /// The values, if they are stored in `bf16`.
    pub(super) fn bf16(&self) -> Option<&[u16]> {
        match self.narrow() {
            Some(Narrow::Bf16(values)) => Some(values.as_slice()),
            _ => None,
        }
    }

    /// The values for writing, if they are stored in `bf16`; copied first where others share them.
    pub(super) fn bf16_mut(&mut self) -> Result<Option<&mut [u16]>> {
        if !self.is_bf16() {
            return Ok(None);
        }
        if Arc::get_mut(&mut self.inner).is_none()
            && let Some(Narrow::Bf16(values)) = self.narrow()
        {
            let copy = values.inner.allocator.copy_of(values.as_slice())?;
            *self = Self::of_narrow(&self.inner.allocator, Narrow::Bf16(copy));
        }
        match Arc::get_mut(&mut self.inner).map(|inner| &mut inner.memory) {
            Some(Memory::Narrow { values: Narrow::Bf16(values), wide }) => {
                *wide = OnceLock::new();
                values.make_mut().map(Some)
            }
            _ => unreachable!("a new buffer has one holder, and its format"),
        }
    }

    /// Makes the copy in `f32` that [`as_slice`](Self::as_slice) of narrow values returns, by `widen(from, to)`.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for it.
    pub(super) fn prepare_wide(&self, widen: impl FnOnce(&Narrow, &mut [f32])) -> Result<()> {
        let Memory::Narrow { values, wide } = &self.inner.memory else { return Ok(()) };
        if wide.get().is_none() {
            let mut copy = self.inner.allocator.alloc(values.len())?;
            widen(values, bytemuck::cast_slice_mut(copy.make_mut()?));
            // If another thread stores its copy first, that is the same.
            let _ = wide.set(copy);
        }
        Ok(())
    }

    /// The number of values.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.inner.len
    }

    /// Whether the values are stored in `bf16`: activations of a device of that precision.
    /// [`as_slice`](Self::as_slice) returns a copy of them in `f32` then, and [`make_mut`](Self::make_mut) turns the
    /// buffer into `f32`.
    pub fn is_bf16(&self) -> bool {
        self.bf16().is_some()
    }

    /// Bytes of the values.
    pub(super) fn bytes(&self) -> usize {
        self.narrow().map_or(self.len() * size_of::<T>(), Narrow::bytes)
    }
}

/// The range of `len` values that starts at a cache line: a vector that straddles two lines costs two accesses.
fn aligned<T>(values: &[T], len: usize) -> Range<usize> {
    let start = values.as_ptr().align_offset(CACHE_LINE).min(values.len() - len);
    start..start + len
}

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        if matches!(self.memory, Memory::Short(_)) {
            self.allocator.short_values.fetch_sub(self.len, Ordering::Relaxed);
        }
    }
}

/// Numbers in memory. Clones share them.
pub struct Buffer<T> {
    inner: Arc<Inner<T>>,
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} values)", self.inner.len)
    }
}

impl<T: Pod> Buffer<T> {
    /// The values. Of a buffer in fewer bits: a copy in `f32`, made at the first call.
    pub fn as_slice(&self) -> &[T] {
        self.inner.values()
    }

    /// This buffer, if its values are `f32`.
    pub(super) fn single(&self) -> Option<&Buffer<f32>> {
        (self as &dyn std::any::Any).downcast_ref()
    }

    /// The cache of the transform of these values, if they are weights.
    pub(super) fn weight_cache(&self) -> &WeightCache<T> {
        &self.inner.weight_cache
    }

    /// A copy of the values.
    pub(crate) fn to_vec(&self) -> Result<Vec<T>> {
        let mut copy = Vec::new();
        let needed = size_of_val(self.as_slice()) as u64;
        copy.try_reserve_exact(self.as_slice().len()).map_err(|_| Error::Memory { device: "cpu".into(), needed })?;
        copy.extend_from_slice(self.as_slice());
        Ok(copy)
    }

    /// The values, for writing. A shared buffer is copied first, so that other holders do not see the change.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough memory for the copy.
    pub fn make_mut(&mut self) -> Result<&mut [T]> {
        if let Memory::Narrow { values, wide } = &self.inner.memory {
            let copy = match wide.get() {
                Some(copy) => copy.clone(),
                None => {
                    let mut copy = self.inner.allocator.alloc(values.len())?;
                    values.widen(bytemuck::cast_slice_mut(copy.make_mut()?));
                    copy
                }
            };
            *self = copy;
        }
        if Arc::get_mut(&mut self.inner).is_none() {
            let copy = self.inner.allocator.copy_of(self.as_slice())?;
            *self = copy;
        }
        match Arc::get_mut(&mut self.inner) {
            Some(inner) => {
                inner.weight_cache = WeightCache::default();
                Ok(inner.values_mut())
            }
            None => unreachable!("a new buffer has one holder"),
        }
    }
}
