//! How a device's allocator takes memory and keeps it.

use std::any::Any;
use std::collections::HashMap;

use super::{Block, Kind};
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

/// Keeps what is given back for the next buffer of the same length and type, as the CPU's pool does.
#[derive(Clone, Debug)]
pub struct SameLength {
    from: usize,
    held: u64,
    free: HashMap<(Kind, usize), usize>,
}

impl SameLength {
    /// Buffers shorter than `from` are not kept.
    pub fn new(from: usize) -> Self {
        Self { from, held: 0, free: HashMap::new() }
    }
}

impl Arena for SameLength {
    fn take(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        match self.free.get_mut(&(block.kind, block.len)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => self.held = self.held.saturating_add(block.size()),
        }
        Ok(Box::new(()))
    }

    fn give(&mut self, block: &Block, _: Box<dyn Any + Send + Sync>) {
        if block.len >= self.from {
            *self.free.entry((block.kind, block.len)).or_default() += 1;
        } else {
            self.held = self.held.saturating_sub(block.size());
        }
    }

    fn held(&self) -> u64 {
        self.held
    }
}
