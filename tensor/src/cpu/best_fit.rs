//! A best-fit allocator of addresses. It takes the smallest hole that is large enough, extends its range if there is
//! none, and merges freed blocks with the holes beside them.
//!
//! It touches no memory: the arena uses it for real memory, a dry run for none.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a page. Blocks are whole pages.
const PAGE: u64 = 4096;

/// The blocks and holes of a range of addresses that starts at 0.
#[derive(Clone, Debug, Default)]
pub(super) struct BestFit {
    /// Lengths of the holes by their starts. Holes never touch.
    holes: BTreeMap<u64, u64>,
    /// The holes as (length, start).
    by_length: BTreeSet<(u64, u64)>,
    end: u64,
}

/// The length of the block for a buffer of `bytes` bytes, or `None` on overflow.
pub(super) fn block_len(bytes: u64) -> Option<u64> {
    bytes.max(1).checked_next_multiple_of(PAGE)
}

impl BestFit {
    /// The length of the range: it ends after the last block, or after the hole that a freed last block left.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Allocates a block of `len` bytes in a hole and returns its start, or `None` if no hole is large enough.
    pub fn alloc_in_hole(&mut self, len: u64) -> Option<u64> {
        let &(hole, start) = self.by_length.range((len, 0)..).next()?;
        self.remove_hole(start, hole);
        if hole > len {
            self.add_hole(start + len, hole - len);
        }
        Some(start)
    }

    /// The end of the block that [`alloc_at_end`](Self::alloc_at_end) would allocate, or `None` on overflow.
    pub fn end_with(&self, len: u64) -> Option<u64> {
        let start = self.last_hole().map_or(self.end, |(start, _)| start);
        start.checked_add(len)
    }

    /// Allocates a block of `len` bytes at the end, from the start of the hole there if there is one, and returns its
    /// start.
    pub fn alloc_at_end(&mut self, len: u64) -> Option<u64> {
        let end = self.end_with(len)?;
        if let Some((start, hole)) = self.last_hole() {
            self.remove_hole(start, hole);
        }
        self.end = self.end.max(end);
        if self.end > end {
            self.add_hole(end, self.end - end);
        }
        Some(end - len)
    }

    /// Frees the block of `len` bytes at `start`.
    pub fn free(&mut self, start: u64, len: u64) {
        let mut from = start;
        let mut to = start + len;
        if let Some((&before, &hole)) = self.holes.range(..start).next_back()
            && before + hole == start
        {
            self.remove_hole(before, hole);
            from = before;
        }
        if let Some(&hole) = self.holes.get(&to) {
            self.remove_hole(to, hole);
            to += hole;
        }
        self.add_hole(from, to - from);
    }

    /// Shortens the range by the hole at its end.
    pub fn trim(&mut self) {
        if let Some((start, hole)) = self.last_hole() {
            self.remove_hole(start, hole);
            self.end = start;
        }
    }

    /// Start and length of the hole at the end of the range.
    fn last_hole(&self) -> Option<(u64, u64)> {
        let (&start, &hole) = self.holes.last_key_value()?;
        (start + hole == self.end).then_some((start, hole))
    }

    fn add_hole(&mut self, start: u64, len: u64) {
        self.holes.insert(start, len);
        self.by_length.insert((len, start));
    }

    fn remove_hole(&mut self, start: u64, len: u64) {
        self.holes.remove(&start);
        self.by_length.remove(&(len, start));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alloc(range: &mut BestFit, len: u64) -> u64 {
        range.alloc_in_hole(len).or_else(|| range.alloc_at_end(len)).expect("room")
    }

    /// Fails unless holes and blocks fill the range without gap or overlap, and no two holes touch.
    fn check(range: &BestFit, blocks: &[(u64, u64)]) -> Result<(), TestCaseError> {
        let holes = range.holes.iter().map(|(&start, &len)| (start, len, false));
        let blocks = blocks.iter().map(|&(start, len)| (start, len, true));
        let mut all: Vec<_> = holes.chain(blocks).collect();
        all.sort_unstable();
        for pair in all.windows(2) {
            prop_assert!(pair[0].2 || pair[1].2, "two holes that touch: {:?}", pair);
        }
        let mut at = 0;
        for (start, len, _) in all {
            prop_assert_eq!(start, at);
            at += len;
        }
        prop_assert_eq!(at, range.end());
        prop_assert_eq!(range.holes.len(), range.by_length.len());
        Ok(())
    }

    proptest! {
        #[test]
        fn blocks_and_holes_fill_the_range(
            steps in prop::collection::vec((any::<bool>(), 1u64..50, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut range = BestFit::default();
            let mut blocks = Vec::new();
            for (frees, pages, index) in steps {
                if frees && !blocks.is_empty() {
                    let (start, len) = blocks.swap_remove(index.index(blocks.len()));
                    range.free(start, len);
                } else {
                    let len = pages * PAGE;
                    blocks.push((alloc(&mut range, len), len));
                }
                check(&range, &blocks)?;
            }
            for (start, len) in blocks {
                range.free(start, len);
            }
            range.trim();
            prop_assert_eq!(range.end(), 0);
        }
    }

    #[test]
    fn the_smallest_hole_is_used_and_the_last_one_grows() {
        let mut range = BestFit::default();
        let [a, _b, c, _d, e] = [30, 1, 20, 1, 10].map(|pages| alloc(&mut range, pages * PAGE));
        range.free(a, 30 * PAGE);
        range.free(c, 20 * PAGE);
        range.free(e, 10 * PAGE);
        assert_eq!(alloc(&mut range, 15 * PAGE), c);
        assert_eq!(alloc(&mut range, 40 * PAGE), e, "the last hole is used and the range extended by the rest");
        assert_eq!(range.end(), e + 40 * PAGE);
        assert_eq!(range.end_with(u64::MAX - PAGE), None);
    }

    #[test]
    fn blocks_are_whole_pages() {
        assert_eq!([0, PAGE, PAGE + 1].map(block_len), [Some(PAGE), Some(PAGE), Some(2 * PAGE)]);
        assert_eq!(block_len(u64::MAX), None);
    }
}
