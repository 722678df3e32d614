//! Reference-counted buffers that go back to their device's pool when the last holder drops them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytemuck::Pod;

use super::kept::Kept;
use crate::{Error, Result};

/// Free buffers by length. Fresh large memory costs page faults at every use, so nothing of the lengths a network uses
/// is given back to the system while the pool lives, unless the system has no more.
pub(crate) struct Pool<T> {
    free: Mutex<HashMap<usize, Vec<Vec<T>>>>,
    /// Values in all buffers, held and free.
    values: AtomicUsize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { free: Mutex::new(HashMap::new()), values: AtomicUsize::new(0) }
    }
}

/// Buffers shorter than this are left to the allocator.
pub(crate) const POOLED_FROM: usize = 4096;

impl<T: Pod> Pool<T> {
    /// A buffer of `len` values whose content is whatever it held before, or zeros.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system refuses the memory.
    pub fn take(self: &Arc<Self>, len: usize) -> Result<Buffer<T>> {
        let kept = if len < POOLED_FROM { None } else { self.lock().get_mut(&len).and_then(Vec::pop) };
        let values = match kept {
            Some(values) => values,
            None => self.fresh(len)?,
        };
        Ok(Buffer { inner: Arc::new(Inner { values, len, pool: Arc::clone(self), kept: Kept::default() }) })
    }

    /// A copy of `values`.
    pub fn copy_of(self: &Arc<Self>, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.take(values.len())?;
        buffer.make_mut()?.copy_from_slice(values);
        Ok(buffer)
    }

    /// Bytes of all buffers, of those in use and of those kept for later.
    pub fn bytes(&self) -> u64 {
        (self.values.load(Ordering::Relaxed) * size_of::<T>()) as u64
    }

    /// Zeros from the system, which makes pages of them as they are first written. What lies unused is given back if
    /// there is no more.
    fn fresh(&self, len: usize) -> Result<Vec<T>> {
        let refused = || Error::Memory { device: "cpu".into(), needed: len as u64 * size_of::<T>() as u64 };
        let zeros = || bytemuck::allocation::try_zeroed_vec(len + const { LINE / size_of::<T>() });
        let values = zeros().or_else(|()| {
            self.give_back();
            zeros().map_err(|()| refused())
        })?;
        prefer_huge_pages(&values);
        self.values.fetch_add(len, Ordering::Relaxed);
        Ok(values)
    }

    fn give_back(&self) {
        let free = std::mem::take(&mut *self.lock());
        let values = free.iter().map(|(len, buffers)| len * buffers.len()).sum();
        self.values.fetch_sub(values, Ordering::Relaxed);
    }
}

impl<T> Pool<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Vec<Vec<T>>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Inner<T> {
    /// With room for `len` values from the first that begins a cache line.
    values: Vec<T>,
    len: usize,
    pool: Arc<Pool<T>>,
    kept: Kept<T>,
}

impl<T> Inner<T> {
    /// Where the buffer's values are: vectors that straddle two lines cost two accesses.
    fn range(&self) -> Range<usize> {
        let start = self.values.as_ptr().align_offset(LINE).min(self.values.len() - self.len);
        start..start + self.len
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks the system for pages of 2 MiB where a buffer is large: kernels walk over many places of it at a time, more than
/// the processor remembers small pages for.
fn prefer_huge_pages<T>(values: &[T]) {
    #[cfg(target_os = "linux")]
    {
        const HUGE: usize = 2 << 20;
        let (start, len) = (values.as_ptr() as usize, size_of_val(values));
        let (first, last) = (start.next_multiple_of(HUGE), (start + len) / HUGE * HUGE);
        if first < last {
            // SAFETY: the range lies within the slice; the advice changes no content. Where it is refused nothing is lost.
            unsafe { libc::madvise(first as *mut libc::c_void, last - first, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = values;
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if self.len < POOLED_FROM {
            self.pool.values.fetch_sub(self.len, Ordering::Relaxed);
            return;
        }
        self.pool.lock().entry(self.len).or_default().push(values);
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
        &self.inner.values[self.inner.range()]
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
                let range = inner.range();
                Ok(&mut inner.values[range])
            }
            None => unreachable!("a buffer just made has one holder"),
        }
    }
}
