//! Simulated allocators.

use std::any::Any;

use super::Block;
use crate::Result;

/// Simulates a device's allocator: how it takes memory and keeps it for later.
pub trait Allocator: Send {
    /// Takes memory for a buffer and returns its place.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) for a buffer that the device can never have.
    fn take(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>>;
    /// Takes back the place that [`take`](Self::take) returned for this buffer.
    fn give(&mut self, block: &Block, place: Box<dyn Any + Send + Sync>);
    /// Bytes taken from the device: in use, and kept for later.
    fn held(&self) -> u64;
}

/// An allocator without gaps: it holds the bytes in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter(u64);

impl Allocator for Counter {
    fn take(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        self.0 = self.0.saturating_add(block.size());
        Ok(Box::new(()))
    }

    fn give(&mut self, block: &Block, _: Box<dyn Any + Send + Sync>) {
        self.0 = self.0.saturating_sub(block.size());
    }

    fn held(&self) -> u64 {
        self.0
    }
}
