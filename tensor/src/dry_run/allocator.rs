//! Simulated memory allocators.

use std::any::Any;

use super::Block;
use crate::Result;

/// Simulates a device's allocator: how it reserves memory and reuses it.
pub trait Allocator: Send {
    /// Allocates memory for a buffer and returns its location.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) for a buffer that the device can never have.
    fn allocate(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>>;
    /// Frees the location that [`allocate`](Self::allocate) returned for this buffer.
    fn free(&mut self, block: &Block, location: Box<dyn Any + Send + Sync>);
    /// Bytes reserved on the device: in use, and kept for reuse.
    fn reserved(&self) -> u64;
}

/// An allocator without fragmentation: it reserves the bytes in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter(u64);

impl Allocator for Counter {
    fn allocate(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        self.0 = self.0.saturating_add(block.size());
        Ok(Box::new(()))
    }

    fn free(&mut self, block: &Block, _: Box<dyn Any + Send + Sync>) {
        self.0 = self.0.saturating_sub(block.size());
    }

    fn reserved(&self) -> u64 {
        self.0
    }
}
