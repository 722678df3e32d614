//! Reference-counted buffers, whose memory returns to the arena with the last reference.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::Pod;

use super::arena::{Arena, Block};
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
        let inner = Inner { memory, len, allocator: Arc::clone(self), weight_cache: WeightCache::default() };
        Ok(Buffer { inner: Arc::new(inner) })
    }

    /// A copy of `values`.
    pub fn copy_of(self: &Arc<Self>, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.alloc(values.len())?;
        buffer.make_mut()?.copy_from_slice(values);
        Ok(buffer)
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
        }
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
    /// The values.
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
