//! Reuse of batch memory.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers of dropped batches, for reuse: fresh memory costs a page fault every 4 KB.
#[derive(Debug, Default)]
pub(super) struct BufferPool(Mutex<Vec<Vec<u8>>>);

/// Maximum number of buffers kept.
const MAX_BUFFERS: usize = 4;

impl BufferPool {
    /// Returns a buffer of `n` unspecified bytes.
    pub fn take(self: &Arc<Self>, n: usize) -> PooledBuffer {
        let buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = match buffer {
            Some(mut buffer) if buffer.capacity() >= n => {
                buffer.resize(n, 0);
                buffer
            }
            // Allocating instead of resizing lets the system provide zero pages as the threads touch them.
            _ => vec![0; n],
        };
        PooledBuffer { bytes, pool: Arc::clone(self) }
    }
}

/// A buffer that returns to its pool when it is dropped.
#[derive(Debug)]
pub(super) struct PooledBuffer {
    bytes: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl Deref for PooledBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut buffers = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < MAX_BUFFERS {
            buffers.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again() {
        let pool = Arc::<BufferPool>::default();
        let held: Vec<PooledBuffer> = (0..6).map(|_| pool.take(12)).collect();
        drop(held);
        assert_eq!(pool.0.lock().unwrap().len(), MAX_BUFFERS);
        let first = pool.take(12);
        let address = first.as_ptr();
        drop(first);
        let shorter = pool.take(5);
        assert_eq!((shorter.as_ptr(), shorter.len()), (address, 5));
    }
}
