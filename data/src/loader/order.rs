//! The order of an epoch.

use tensor::random::{Stream, purpose};

use super::LoaderOptions;

/// Which picture comes when.
pub(super) struct Order {
    /// None: as in the pack.
    shuffled: Option<Vec<u32>>,
    pictures: usize,
    batch: usize,
}

impl Order {
    pub fn new(options: &LoaderOptions, pictures: usize, epoch: u64) -> Self {
        // `Loader::new` made sure that it fits.
        let n = u32::try_from(pictures).unwrap_or(u32::MAX);
        let shuffled = options.shuffle.then(|| Stream::new(options.seed, purpose::SHUFFLE, epoch).permutation(n));
        Self { shuffled, pictures, batch: options.batch }
    }

    /// The pictures of batch `number`.
    pub fn batch(&self, number: usize) -> Vec<u64> {
        let start = number.saturating_mul(self.batch).min(self.pictures);
        let end = start.saturating_add(self.batch).min(self.pictures);
        match &self.shuffled {
            Some(order) => order[start..end].iter().map(|&index| u64::from(index)).collect(),
            None => (start as u64..end as u64).collect(),
        }
    }
}
