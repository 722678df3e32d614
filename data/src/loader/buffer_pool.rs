//! Reuse of batch memory.

use std::sync::{Mutex, PoisonError};

/// Buffers of dropped batches, for reuse: fresh memory costs a page fault every 4 KB.
#[derive(Debug)]
pub(super) struct BufferPool<T>(Mutex<Vec<Vec<T>>>);

/// Maximum number of buffers kept.
const MAX_BUFFERS: usize = 4;

impl<T> Default for BufferPool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Copy + Default> BufferPool<T> {
    /// Returns a buffer of `n` unspecified values.
    pub fn take(&self, n: usize) -> Vec<T> {
        let buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match buffer {
            Some(mut buffer) if buffer.capacity() >= n => {
                buffer.resize(n, T::default());
                buffer
            }
            // Allocating instead of resizing lets the system provide zero pages as the threads touch them.
            _ => vec![T::default(); n],
        }
    }

    pub fn put(&self, buffer: Vec<T>) {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < MAX_BUFFERS {
            buffers.push(buffer);
        }
    }
}
