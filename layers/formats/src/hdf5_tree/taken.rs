//! The blocks of values that were read.

use std::collections::BTreeMap;

use super::{Parsed, Source, fault};

/// Blocks that do not overlap: the end of each by its start.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<u64, u64>);

impl Taken {
    /// Claims a block of values. No block is claimed twice, so that all values together are no larger than the file.
    pub fn take(&mut self, source: &Source, at: u64, count: u64) -> Parsed<()> {
        source.check(at, count)?;
        if self.claim(at, at + count) {
            return Ok(());
        }
        fault("its values overlap another dataset's; the file is damaged")
    }

    /// Whether the bytes from `start` up to `end` were free; they are taken then.
    fn claim(&mut self, start: u64, end: u64) -> bool {
        if start == end {
            return true;
        }
        // Blocks do not overlap: the last one that starts before the end has the highest end.
        let is_free = self.0.range(..end).next_back().is_none_or(|(_, &last)| last <= start);
        if is_free {
            self.0.insert(start, end);
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Taken;

    proptest! {
        /// A block is free unless one of its bytes is another's.
        #[test]
        fn bytes_are_taken_once(blocks in proptest::collection::vec((0u64..40, 0u64..6), 1..30)) {
            let mut taken = Taken::default();
            let mut bytes = [false; 48];
            for (start, count) in blocks {
                let range = start as usize..(start + count) as usize;
                let is_free = !bytes[range.clone()].contains(&true);
                prop_assert_eq!(taken.claim(start, start + count), is_free);
                if is_free {
                    bytes[range].fill(true);
                }
            }
        }
    }

    /// The order of chunks that were written from the end of an array: a list of them would be moved for each.
    #[test]
    fn many_blocks_in_falling_order() {
        const COUNT: u64 = 1 << 20;
        let mut taken = Taken::default();
        assert!((0..COUNT).rev().all(|place| taken.claim(8 * place, 8 * place + 7)));
        assert!((0..COUNT).all(|place| taken.claim(8 * place + 7, 8 * place + 8)));
        assert!((0..COUNT).all(|place| !taken.claim(8 * place + 7, 8 * place + 9)));
    }
}
