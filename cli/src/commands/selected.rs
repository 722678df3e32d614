//! Some images of a data set.

use std::ops::Range;
use std::sync::Arc;

use data::{BadImage, Dataset, DecodeOptions, ImageContent};

/// Images of another data set, in any order.
pub struct Selected {
    whole: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Selected {
    /// The images of these indices.
    pub fn new(whole: Arc<dyn Dataset>, indices: Vec<usize>) -> Self {
        Self { whole, indices }
    }
}

/// Indices of `count` of `len` images, at even distances.
pub fn spread(len: usize, count: usize) -> Vec<usize> {
    let count = count.min(len);
    (0..count).map(|part| ((2 * part + 1) as u128 * len as u128 / (2 * count as u128)) as usize).collect()
}

impl Dataset for Selected {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn size(&self) -> usize {
        self.whole.size()
    }

    fn classes(&self) -> &[String] {
        self.whole.classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.whole.label(self.indices[index])
    }

    fn read(&self, index: usize) -> Result<ImageContent, BadImage> {
        self.whole.read(self.indices[index])
    }

    fn name(&self, index: usize) -> String {
        self.whole.name(self.indices[index])
    }

    fn decode_options(&self) -> DecodeOptions {
        self.whole.decode_options()
    }

    fn read_region(&self, index: usize, rows: Range<usize>, columns: Range<usize>, out: &mut [u8]) -> data::Result<()> {
        self.whole.read_region(self.indices[index], rows, columns, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_spread_evenly_and_are_all_different() {
        assert_eq!(spread(10, 2), [2, 7]);
        assert_eq!(spread(3, 8), [0, 1, 2]);
        assert!(spread(0, 5).is_empty());
        for count in 1..20 {
            let spread = spread(19, count);
            assert_eq!(spread.len(), count);
            assert!(spread.windows(2).all(|pair| pair[0] < pair[1]) && spread.iter().all(|&index| index < 19));
        }
    }
}
