//! Reference-counted buffers that go back to their device's pool when the last holder drops them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Free buffers by length. Fresh large memory costs page faults at every use, so nothing of the lengths a network uses
/// is given back to the system while the pool lives.
pub(crate) struct Pool<T> {
    free: Mutex<HashMap<usize, Vec<Vec<T>>>>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { free: Mutex::new(HashMap::new()) }
    }
}

/// Buffers shorter than this are left to the allocator.
const POOLED_FROM: usize = 4096;

impl<T: Copy + Default> Pool<T> {
    /// A buffer of `len` values whose content is whatever it held before, or zeros.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer<T> {
        let kept = if len < POOLED_FROM { None } else { self.lock().get_mut(&len).and_then(Vec::pop) };
        let values = kept.unwrap_or_else(|| vec![T::default(); len]);
        Buffer { inner: Arc::new(Inner { values, pool: Arc::clone(self) }) }
    }

    /// A copy of `values`.
    pub fn copy_of(self: &Arc<Self>, values: &[T]) -> Buffer<T> {
        let mut buffer = self.take(values.len());
        buffer.make_mut().copy_from_slice(values);
        buffer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Vec<Vec<T>>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Inner<T> {
    values: Vec<T>,
    pool: Arc<Pool<T>>,
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        if self.values.len() >= POOLED_FROM {
            let values = std::mem::take(&mut self.values);
            let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.entry(values.len()).or_default().push(values);
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
        write!(f, "Buffer({} values)", self.inner.values.len())
    }
}

impl<T: Copy + Default> Buffer<T> {
    /// The values.
    pub fn as_slice(&self) -> &[T] {
        &self.inner.values
    }

    /// The values to write; a shared buffer is copied first, so no other holder sees the change.
    pub fn make_mut(&mut self) -> &mut [T] {
        if Arc::get_mut(&mut self.inner).is_none() {
            let copy = self.inner.pool.copy_of(&self.inner.values);
            *self = copy;
        }
        match Arc::get_mut(&mut self.inner) {
            Some(inner) => &mut inner.values,
            None => unreachable!("a buffer just made has one holder"),
        }
    }
}
