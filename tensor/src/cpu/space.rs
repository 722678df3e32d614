//! Which parts of an address range are taken: the smallest hole that has room is used first, what is given back joins its
//! neighbours, and the range grows at its end where no hole has room.
//!
//! It touches no memory: the pool has one beside its memory, a plan one instead.

use std::collections::{BTreeMap, BTreeSet};

/// Lengths are whole pages.
const GRAIN: u64 = 4096;

#[derive(Clone, Debug, Default)]
pub(super) struct Space {
    /// Lengths of holes by where they start; no two touch.
    holes: BTreeMap<u64, u64>,
    /// The same, shortest first.
    by_length: BTreeSet<(u64, u64)>,
    end: u64,
}

/// The bytes that a buffer of `bytes` occupies; none if they cannot be counted.
pub(super) fn occupied(bytes: u64) -> Option<u64> {
    bytes.max(1).checked_next_multiple_of(GRAIN)
}

impl Space {
    /// Where everything that is or was taken ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Takes `len` bytes of a hole and says where they start, if one has room.
    pub fn fill(&mut self, len: u64) -> Option<u64> {
        let &(hole, start) = self.by_length.range((len, 0)..).next()?;
        self.remove(start, hole);
        if hole > len {
            self.insert(start + len, hole - len);
        }
        Some(start)
    }

    /// Where the range would end if `len` bytes were taken there.
    pub fn end_with(&self, len: u64) -> Option<u64> {
        self.last_hole().map_or(self.end, |(start, _)| start).checked_add(len)
    }

    /// Takes `len` bytes at the end, with the hole there, and says where they start.
    pub fn grow(&mut self, len: u64) -> Option<u64> {
        let end = self.end_with(len)?;
        if let Some((start, hole)) = self.last_hole() {
            self.remove(start, hole);
        }
        self.end = self.end.max(end);
        if self.end > end {
            self.insert(end, self.end - end);
        }
        Some(end - len)
    }

    /// Gives back `len` bytes that were taken at `start`.
    pub fn give(&mut self, start: u64, len: u64) {
        let (mut from, mut to) = (start, start + len);
        if let Some((&before, &hole)) = self.holes.range(..start).next_back()
            && before + hole == start
        {
            self.remove(before, hole);
            from = before;
        }
        if let Some(&hole) = self.holes.get(&to) {
            self.remove(to, hole);
            to += hole;
        }
        self.insert(from, to - from);
    }

    /// Gives up the hole at the end.
    pub fn trim(&mut self) {
        if let Some((start, hole)) = self.last_hole() {
            self.remove(start, hole);
            self.end = start;
        }
    }

    /// The hole that touches the end.
    fn last_hole(&self) -> Option<(u64, u64)> {
        let (&start, &hole) = self.holes.last_key_value()?;
        (start + hole == self.end).then_some((start, hole))
    }

    fn insert(&mut self, start: u64, len: u64) {
        self.holes.insert(start, len);
        self.by_length.insert((len, start));
    }

    fn remove(&mut self, start: u64, len: u64) {
        self.holes.remove(&start);
        self.by_length.remove(&(len, start));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(space: &mut Space, len: u64) -> u64 {
        space.fill(len).or_else(|| space.grow(len)).expect("room")
    }

    proptest! {
        /// Whatever is taken and given back, nothing overlaps, and holes and what is taken make up the range.
        #[test]
        fn nothing_overlaps(steps in prop::collection::vec((any::<bool>(), 1u64..50, any::<prop::sample::Index>()), 1..200)) {
            let (mut space, mut held) = (Space::default(), Vec::new());
            for (gives, pages, which) in steps {
                if gives && !held.is_empty() {
                    let (start, len) = held.swap_remove(which.index(held.len()));
                    space.give(start, len);
                } else {
                    let len = pages * GRAIN;
                    held.push((take(&mut space, len), len));
                }
                let holes = space.holes.iter().map(|(&start, &len)| (start, len, false));
                let mut all: Vec<_> = holes.chain(held.iter().map(|&(start, len)| (start, len, true))).collect();
                all.sort_unstable();
                let mut at = 0;
                for pair in all.windows(2) {
                    prop_assert!(pair[0].2 || pair[1].2, "two holes that touch: {:?}", pair);
                }
                for (start, len, _) in all {
                    prop_assert_eq!(start, at);
                    at += len;
                }
                prop_assert_eq!(at, space.end());
                prop_assert_eq!(space.holes.len(), space.by_length.len());
            }
            held.into_iter().for_each(|(start, len)| space.give(start, len));
            space.trim();
            prop_assert_eq!(space.end(), 0);
        }
    }

    #[test]
    fn the_smallest_hole_is_used_and_the_last_one_grows() {
        let mut space = Space::default();
        let [a, _b, c, _d, e] = [30, 1, 20, 1, 10].map(|pages| take(&mut space, pages * GRAIN));
        space.give(a, 30 * GRAIN);
        space.give(c, 20 * GRAIN);
        space.give(e, 10 * GRAIN);
        assert_eq!(take(&mut space, 15 * GRAIN), c);
        assert_eq!(take(&mut space, 40 * GRAIN), e, "the range grows by what the hole at its end lacks");
        assert_eq!(space.end(), e + 40 * GRAIN);
        assert_eq!(space.end_with(u64::MAX - GRAIN), None);
        assert_eq!(occupied(u64::MAX), None);
        assert_eq!([occupied(0), occupied(GRAIN), occupied(GRAIN + 1)], [Some(GRAIN), Some(GRAIN), Some(2 * GRAIN)]);
    }
}
