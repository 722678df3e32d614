//! The arena of a dry run.

use std::any::Any;

use super::best_fit::{BestFit, block_len};
use super::buffer::MIN_ARENA_LEN;
use crate::dry_run::{Allocator, Block};
use crate::{Error, Result};

/// Simulates the CPU's [`Arena`](super::arena::Arena) and the buffers too short for it, without their memory.
#[derive(Default)]
pub(super) struct SimulatedArena {
    range: BestFit,
    /// Bytes of the buffers too short for the arena.
    short_bytes: u64,
}

impl Allocator for SimulatedArena {
    fn allocate(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        if block.len < MIN_ARENA_LEN {
            self.short_bytes += block.size();
            return Ok(Box::new(0u64));
        }
        let start = self.alloc(block.size());
        let start = start.ok_or_else(|| Error::Memory { device: "cpu".into(), needed: block.size() })?;
        Ok(Box::new(start))
    }

    fn free(&mut self, block: &Block, place: Box<dyn Any + Send + Sync>) {
        if block.len < MIN_ARENA_LEN {
            self.short_bytes -= block.size();
        } else if let (Ok(start), Some(len)) = (place.downcast::<u64>(), block_len(block.size())) {
            self.range.free(*start, len);
        }
    }

    fn reserved(&self) -> u64 {
        self.range.end() + self.short_bytes
    }
}

impl SimulatedArena {
    fn alloc(&mut self, bytes: u64) -> Option<u64> {
        let len = block_len(bytes)?;
        self.range.alloc_in_hole(len).or_else(|| self.range.alloc_at_end(len))
    }
}
