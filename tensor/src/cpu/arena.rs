//! Memory for buffers of all lengths and types. What is given back is used again for whatever fits, so that a training
//! step takes from the system no more than what it holds at once, and nothing once it has run.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::range::{Range, reserve};
use super::space::{Space, occupied};

/// Address ranges, nearly always one.
#[derive(Debug, Default)]
pub(super) struct Arena {
    segments: Mutex<Vec<Segment>>,
}

#[derive(Debug)]
struct Segment {
    range: Range,
    space: Space,
}

/// Bytes that belong to one holder until it drops them: initialised, at the start of a page.
#[derive(Debug)]
pub(super) struct Block {
    start: NonNull<u8>,
    segment: usize,
    offset: u64,
    occupied: u64,
    arena: Arc<Arena>,
}

// SAFETY: a block is memory that nobody else uses; the arena is behind a lock.
unsafe impl Send for Block {}
// SAFETY: shared, a block gives away nothing but its address.
unsafe impl Sync for Block {}

impl Block {
    /// The first of its bytes.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.arena.lock()[self.segment].space.give(self.offset, self.occupied);
    }
}

impl Arena {
    /// `bytes` bytes whose content is whatever they held before, or zeros. None if the system has no more, even after
    /// it was given back what lies unused at the end.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Option<Block> {
        let occupied = occupied(bytes)?;
        let mut segments = self.lock();
        let (segment, offset) = place(&mut segments, occupied).or_else(|| {
            give_back(&mut segments);
            place(&mut segments, occupied)
        })?;
        // SAFETY: the space within a range is no longer than it.
        let start = unsafe { segments[segment].range.start().add(offset as usize) };
        Some(Block { start, segment, offset, occupied, arena: Arc::clone(self) })
    }

    /// Bytes taken from the system: those in use, and the holes between and after them.
    pub fn bytes(&self) -> u64 {
        self.lock().iter().map(|segment| segment.space.end()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The segment and the place in it of a new block.
fn place(segments: &mut Vec<Segment>, len: u64) -> Option<(usize, u64)> {
    let holes = segments.iter_mut().enumerate().find_map(|(i, segment)| Some((i, segment.space.fill(len)?)));
    let found =
        holes.or_else(|| segments.iter_mut().enumerate().find_map(|(i, segment)| Some((i, segment.grow(len)?))));
    found.or_else(|| {
        let range = reserve(len.try_into().ok()?)?;
        let mut segment = Segment { range, space: Space::default() };
        let offset = segment.grow(len)?;
        segments.push(segment);
        Some((segments.len() - 1, offset))
    })
}

fn give_back(segments: &mut [Segment]) {
    for segment in segments {
        segment.space.trim();
        segment.range.give_back(segment.space.end() as usize);
    }
}

impl Segment {
    fn grow(&mut self, len: u64) -> Option<u64> {
        let end = usize::try_from(self.space.end_with(len)?).ok().filter(|&end| end <= self.range.len())?;
        if self.range.commit(end) { self.space.grow(len) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn fill(block: &Block, len: usize, value: u8) {
        // SAFETY: the test takes no more than it asked for.
        unsafe { block.start().as_ptr().write_bytes(value, len) };
    }

    fn holds(block: &Block, len: usize, value: u8) -> bool {
        // SAFETY: as above; all of it is initialised.
        unsafe { std::slice::from_raw_parts(block.start().as_ptr(), len) }.iter().all(|&b| b == value)
    }

    #[test]
    fn what_is_given_back_is_used_again_for_another_length() {
        let arena = Arc::new(Arena::default());
        let [a, b, c] = [5, 3, 2].map(|mib| arena.take(mib * MIB).expect("memory"));
        assert!(holds(&a, 5 << 20, 0));
        [(&a, 5, 1), (&b, 3, 2), (&c, 2, 3)].into_iter().for_each(|(block, mib, v)| fill(block, mib << 20, v));
        drop(a);
        let [d, e] = [2, 3].map(|mib| arena.take(mib * MIB).expect("memory"));
        [(&d, 2, 4), (&e, 3, 5)].into_iter().for_each(|(block, mib, v)| fill(block, mib << 20, v));
        assert!(holds(&b, 3 << 20, 2) && holds(&c, 2 << 20, 3) && holds(&d, 2 << 20, 4));
        assert_eq!(arena.bytes(), 10 * MIB);
        drop((b, c));
        let _f = arena.take(6 * MIB).expect("memory");
        assert_eq!(arena.bytes(), 11 * MIB, "the hole at the end grew by what it lacked");
    }

    #[test]
    fn memory_that_the_system_took_back_is_zeros_when_it_comes_again() {
        let arena = Arc::new(Arena::default());
        let kept = arena.take(MIB).expect("memory");
        fill(&kept, 1 << 20, 7);
        let dropped = arena.take(8 * MIB).expect("memory");
        fill(&dropped, 8 << 20, 7);
        drop(dropped);
        assert!(arena.take(1 << 60).is_none());
        assert_eq!(arena.bytes(), MIB);
        let again = arena.take(8 * MIB).expect("memory");
        assert!(holds(&kept, 1 << 20, 7));
        // The rest of a huge page that is in use stays.
        // SAFETY: within the block.
        assert_eq!(unsafe { again.start().add(7 << 20).read() }, if cfg!(unix) { 0 } else { 7 });
        fill(&again, 8 << 20, 1);
    }

    #[test]
    fn blocks_start_at_pages() {
        let arena = Arc::new(Arena::default());
        let blocks = [1, 4097, 10_000, 0].map(|bytes| arena.take(bytes).expect("memory"));
        assert!(blocks.iter().all(|block| block.start().addr().get().is_multiple_of(4096)));
    }
}
