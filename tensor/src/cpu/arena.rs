//! Memory for the buffers of a device. Freed memory is reused for buffers of any length and type, so that a training
//! step takes no more from the system than it holds at once, and later steps take none.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::best_fit::{BestFit, block_len};
use super::reserved_memory::{ReservedMemory, reserve};

/// An allocator over reserved address ranges, nearly always one.
#[derive(Debug, Default)]
pub(super) struct Arena {
    segments: Mutex<Vec<Segment>>,
}

#[derive(Debug)]
struct Segment {
    memory: ReservedMemory,
    blocks: BestFit,
}

/// Initialised bytes that start at a page, freed on drop.
#[derive(Debug)]
pub(super) struct Block {
    start: NonNull<u8>,
    segment: usize,
    offset: u64,
    len: u64,
    arena: Arc<Arena>,
}

// SAFETY: a block is the only holder of its memory; the arena is behind a lock.
unsafe impl Send for Block {}
// SAFETY: a shared block gives out nothing but its address.
unsafe impl Sync for Block {}

impl Block {
    /// The address of the first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.arena.lock()[self.segment].blocks.free(self.offset, self.len);
    }
}

impl Arena {
    /// Allocates `bytes` bytes: zeros, or the content of freed blocks. If the system refuses more memory, the unused
    /// memory at the end of each segment goes back to it before the last attempt; if that fails, returns `None`.
    pub fn alloc(self: &Arc<Self>, bytes: u64) -> Option<Block> {
        let len = block_len(bytes)?;
        let mut segments = self.lock();
        let place = find_place(&mut segments, len);
        let (segment, offset) = match place {
            Some(place) => place,
            None => {
                release_unused(&mut segments);
                find_place(&mut segments, len)?
            }
        };
        // SAFETY: the block's offset lies within the segment's memory.
        let start = unsafe { segments[segment].memory.start().add(offset as usize) };
        Some(Block { start, segment, offset, len, arena: Arc::clone(self) })
    }

    /// Bytes taken from the system: blocks, and the holes between and after them.
    pub fn bytes(&self) -> u64 {
        self.lock().iter().map(|segment| segment.blocks.end()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Allocates a block of `len` bytes and returns its segment and offset: in a hole if possible, else at the end of a
/// segment, else in a new segment.
fn find_place(segments: &mut Vec<Segment>, len: u64) -> Option<(usize, u64)> {
    for (i, segment) in segments.iter_mut().enumerate() {
        if let Some(offset) = segment.blocks.alloc_in_hole(len) {
            return Some((i, offset));
        }
    }
    for (i, segment) in segments.iter_mut().enumerate() {
        if let Some(offset) = segment.alloc_at_end(len) {
            return Some((i, offset));
        }
    }
    let memory = reserve(len.try_into().ok()?)?;
    let mut segment = Segment { memory, blocks: BestFit::default() };
    let offset = segment.alloc_at_end(len)?;
    segments.push(segment);
    Some((segments.len() - 1, offset))
}

fn release_unused(segments: &mut [Segment]) {
    for segment in segments {
        segment.blocks.trim();
        segment.memory.release_after(segment.blocks.end() as usize);
    }
}

impl Segment {
    fn alloc_at_end(&mut self, len: u64) -> Option<u64> {
        let end = usize::try_from(self.blocks.end_with(len)?).ok()?;
        if end > self.memory.len() || !self.memory.commit(end) {
            return None;
        }
        self.blocks.alloc_at_end(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn alloc(arena: &Arc<Arena>, mib: u64) -> Block {
        arena.alloc(mib * MIB).expect("memory")
    }

    fn fill(block: &Block, mib: usize, value: u8) {
        // SAFETY: the block is at least that long.
        unsafe { block.start().as_ptr().write_bytes(value, mib << 20) };
    }

    fn is_filled(block: &Block, mib: usize, value: u8) -> bool {
        // SAFETY: the block is at least that long and initialised.
        let bytes = unsafe { std::slice::from_raw_parts(block.start().as_ptr(), mib << 20) };
        bytes.iter().all(|&b| b == value)
    }

    #[test]
    fn freed_memory_is_reused_for_other_lengths() {
        let arena = Arc::new(Arena::default());
        let a = alloc(&arena, 5);
        let b = alloc(&arena, 3);
        let c = alloc(&arena, 2);
        assert!(is_filled(&a, 5, 0));
        fill(&a, 5, 1);
        fill(&b, 3, 2);
        fill(&c, 2, 3);
        drop(a);
        let d = alloc(&arena, 2);
        let e = alloc(&arena, 3);
        fill(&d, 2, 4);
        fill(&e, 3, 5);
        assert!(is_filled(&b, 3, 2));
        assert!(is_filled(&c, 2, 3));
        assert!(is_filled(&d, 2, 4));
        assert_eq!(arena.bytes(), 10 * MIB);
        drop(b);
        drop(c);
        let _f = alloc(&arena, 6);
        assert_eq!(arena.bytes(), 11 * MIB, "the hole at the end is extended by 1 MiB");
    }

    #[test]
    fn memory_released_to_the_system_comes_back_as_zeros() {
        let arena = Arc::new(Arena::default());
        let first = alloc(&arena, 1);
        fill(&first, 1, 7);
        let second = alloc(&arena, 8);
        fill(&second, 8, 7);
        drop(second);
        assert!(arena.alloc(1 << 60).is_none());
        assert_eq!(arena.bytes(), MIB);
        let third = alloc(&arena, 8);
        assert!(is_filled(&first, 1, 7));
        // The rest of the huge page that contains `first` is not released: start after it.
        // SAFETY: within the block.
        let byte = unsafe { third.start().add(7 << 20).read() };
        assert_eq!(byte, if cfg!(unix) { 0 } else { 7 });
        fill(&third, 8, 1);
    }

    #[test]
    fn blocks_start_at_pages() {
        let arena = Arc::new(Arena::default());
        let blocks = [1, 4097, 10_000, 0].map(|bytes| arena.alloc(bytes).expect("memory"));
        assert!(blocks.iter().all(|block| block.start().addr().get().is_multiple_of(4096)));
    }
}
