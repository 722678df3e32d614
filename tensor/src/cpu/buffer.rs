//! Reference-counted buffers that go back to their device's memory when the last holder drops them.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::Pod;

use super::arena::{Arena, Block};
use super::kept::Kept;
use crate::{Error, Result};

/// Where buffers of one type come from: the device's [`Arena`], which they share with those of other types. Fresh large
/// memory costs page faults at every use, so nothing of it is given back to the system while the device lives, unless
/// the system has no more.
pub(crate) struct Pool<T> {
    arena: Arc<Arena>,
    /// Values in the buffers that are too short for the arena.
    short: AtomicUsize,
    values: PhantomData<fn() -> T>,
}

/// Buffers shorter than this are left to the allocator.
pub(crate) const POOLED_FROM: usize = 4096;

impl<T: Pod> Pool<T> {
    pub fn new(arena: Arc<Arena>) -> Self {
        Self { arena, short: AtomicUsize::new(0), values: PhantomData }
    }

    /// A buffer of `len` values whose content is whatever its memory held before, or zeros.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system refuses the memory.
    pub fn take(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        let memory = if len < POOLED_FROM { self.short(len) } else { self.arena.take(bytes).map(Memory::Long) };
        let memory = memory.ok_or_else(|| Error::Memory { device: "cpu".into(), needed: bytes })?;
        Ok(Buffer { inner: Arc::new(Inner { memory, len, pool: Arc::clone(self), kept: Kept::default() }) })
    }

    /// A copy of `values`.
    pub fn copy_of(self: &Arc<Self>, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.take(values.len())?;
        buffer.make_mut()?.copy_from_slice(values);
        Ok(buffer)
    }

    /// Bytes of the buffers that are too short for the arena.
    pub fn short_bytes(&self) -> u64 {
        (self.short.load(Ordering::Relaxed) * size_of::<T>()) as u64
    }

    fn short(&self, len: usize) -> Option<Memory<T>> {
        let values = bytemuck::allocation::try_zeroed_vec(len + const { LINE / size_of::<T>() }).ok()?;
        self.short.fetch_add(len, Ordering::Relaxed);
        Some(Memory::Short(values))
    }
}

enum Memory<T> {
    /// With room for the values from the first that begins a cache line.
    Short(Vec<T>),
    Long(Block),
}

struct Inner<T> {
    memory: Memory<T>,
    len: usize,
    pool: Arc<Pool<T>>,
    kept: Kept<T>,
}

impl<T: Pod> Inner<T> {
    fn values(&self) -> &[T] {
        match &self.memory {
            Memory::Short(values) => &values[lines(values, self.len)],
            // SAFETY: the block has bytes for `len` values, and starts at a page. They are initialised, any bits are a
            // value of a `Pod` type, and only this buffer has the block.
            Memory::Long(block) => unsafe { std::slice::from_raw_parts(block.start().cast().as_ptr(), self.len) },
        }
    }

    fn values_mut(&mut self) -> &mut [T] {
        match &mut self.memory {
            Memory::Short(values) => {
                let range = lines(values, self.len);
                &mut values[range]
            }
            // SAFETY: as above, and the buffer is borrowed mutably.
            Memory::Long(block) => unsafe { std::slice::from_raw_parts_mut(block.start().cast().as_ptr(), self.len) },
        }
    }
}

/// Where the buffer's values are: vectors that straddle two lines cost two accesses.
fn lines<T>(values: &[T], len: usize) -> Range<usize> {
    let start = values.as_ptr().align_offset(LINE).min(values.len() - len);
    start..start + len
}

/// Bytes of a cache line.
const LINE: usize = 64;

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        if matches!(self.memory, Memory::Short(_)) {
            self.pool.short.fetch_sub(self.len, Ordering::Relaxed);
        }
    }
}

/// Values in memory, shared by all clones.
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

    /// This buffer, if its values are in single precision.
    pub(super) fn single(&self) -> Option<&Buffer<f32>> {
        (self as &dyn std::any::Any).downcast_ref()
    }

    /// What kernels made of the values.
    pub(super) fn kept(&self) -> &Kept<T> {
        &self.inner.kept
    }

    /// A copy of the values for whoever leaves the device.
    pub(crate) fn to_vec(&self) -> Result<Vec<T>> {
        let mut copy = Vec::new();
        let needed = size_of_val(self.as_slice()) as u64;
        copy.try_reserve_exact(self.as_slice().len()).map_err(|_| Error::Memory { device: "cpu".into(), needed })?;
        copy.extend_from_slice(self.as_slice());
        Ok(copy)
    }

    /// The values to write; a shared buffer is copied first, so no other holder sees the change.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is none for the copy.
    pub fn make_mut(&mut self) -> Result<&mut [T]> {
        if Arc::get_mut(&mut self.inner).is_none() {
            let copy = self.inner.pool.copy_of(self.as_slice())?;
            *self = copy;
        }
        match Arc::get_mut(&mut self.inner) {
            Some(inner) => {
                inner.kept = Kept::default();
                Ok(inner.values_mut())
            }
            None => unreachable!("a buffer just made has one holder"),
        }
    }
}
