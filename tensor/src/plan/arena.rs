//! How a device's allocator takes memory and keeps it.

use std::any::Any;

use super::Block;
use crate::Result;

/// An allocator, imitated.
pub trait Arena: Send {
    /// Takes room for a buffer and returns what stands for it.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) for a buffer that the device can never have.
    fn take(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>>;
    /// Takes back what [`take`](Self::take) returned for this buffer.
    fn give(&mut self, block: &Block, place: Box<dyn Any + Send + Sync>);
    /// Bytes that are taken from the device: those in use and those kept for later.
    fn held(&self) -> u64;
}

/// Bytes in use, as if none were ever lost to gaps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter(u64);

impl Arena for Counter {
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
