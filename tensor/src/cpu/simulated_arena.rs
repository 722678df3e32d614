//! The arena for dry runs.

use std::any::Any;

use super::buffer::POOLED_FROM;
use super::space::{Space, occupied};
use crate::dry_run::{Allocator, Block};
use crate::{Error, Result};

/// The arena without its memory.
#[derive(Default)]
pub(super) struct SimulatedArena {
    space: Space,
    /// Bytes of the buffers that are too short for it.
    short: u64,
}

impl Allocator for SimulatedArena {
    fn take(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        if block.len < POOLED_FROM {
            self.short += block.size();
            return Ok(Box::new(0u64));
        }
        let start = occupied(block.size()).and_then(|len| self.space.fill(len).or_else(|| self.space.grow(len)));
        let start = start.ok_or_else(|| Error::Memory { device: "cpu".into(), needed: block.size() })?;
        Ok(Box::new(start))
    }

    fn give(&mut self, block: &Block, place: Box<dyn Any + Send + Sync>) {
        if block.len < POOLED_FROM {
            self.short -= block.size();
        } else if let (Ok(start), Some(len)) = (place.downcast::<u64>(), occupied(block.size())) {
            self.space.give(*start, len);
        }
    }

    fn held(&self) -> u64 {
        self.space.end() + self.short
    }
}
