//! A cache for transformed weights, such as Winograd's, which lives as long as the weights do not change.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::Pod;

use super::Buffer;
use crate::Result;

/// The lengths that determine how the weights are transformed.
pub(super) type CacheKey = [usize; 4];

/// The cache of one buffer. A new one takes its place when the buffer is written.
///
/// It stays empty at the first use: in training, weights change before they are used again, and their transform would
/// only take memory.
pub(super) struct WeightCache<T> {
    was_used: AtomicBool,
    entry: OnceLock<(CacheKey, Buffer<T>)>,
}

impl<T> Default for WeightCache<T> {
    fn default() -> Self {
        Self { was_used: AtomicBool::new(false), entry: OnceLock::new() }
    }
}

impl<T: Pod> WeightCache<T> {
    /// `None` at the first use. The second use stores the result of `transform`, which this and all later uses with the
    /// same `key` return. A cache holds one entry: other keys get `None`.
    pub fn get_on_reuse(
        &self,
        key: CacheKey,
        transform: impl FnOnce() -> Result<Buffer<T>>,
    ) -> Result<Option<Buffer<T>>> {
        if self.entry.get().is_none() && self.was_used.swap(true, Ordering::Relaxed) {
            // If another thread stores its result first, that is the same.
            let _ = self.entry.set((key, transform()?));
        }
        match self.entry.get() {
            Some((stored, transformed)) if *stored == key => Ok(Some(transformed.clone())),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cpu, Device};

    /// Reads through the cache a transform of `weights`, twice the first value, and counts how often it is computed.
    fn read(cpu: &Cpu<f32>, weights: &super::Buffer<f32>, key: usize, computed: &mut usize) -> Option<f32> {
        let transform = || {
            *computed += 1;
            cpu.upload(&[2.0 * weights.as_slice()[0]])
        };
        let cached = weights.weight_cache().get_on_reuse([key; 4], transform).unwrap();
        cached.map(|transformed| transformed.as_slice()[0])
    }

    #[test]
    fn the_second_use_fills_the_cache_and_a_write_empties_it() {
        let cpu = Cpu::<f32>::new(1).unwrap();
        let mut w = cpu.upload(&[1.0; 5000]).unwrap();
        let mut computed = 0;
        for expected in [(None, 0), (Some(2.0), 1), (Some(2.0), 1)] {
            assert_eq!((read(&cpu, &w, 7, &mut computed), computed), expected);
        }
        // Clones share the cache; another key is not in it.
        assert_eq!((read(&cpu, &w.clone(), 7, &mut computed), computed), (Some(2.0), 1));
        assert_eq!((read(&cpu, &w, 8, &mut computed), computed), (None, 1));

        w.make_mut().unwrap()[0] = 4.0;
        assert_eq!((read(&cpu, &w, 7, &mut computed), computed), (None, 1));
        assert_eq!((read(&cpu, &w, 7, &mut computed), computed), (Some(8.0), 2));
        // A write to a shared buffer leaves the cache of the other holder.
        let other = w.clone();
        w.make_mut().unwrap()[0] = 5.0;
        assert_eq!((read(&cpu, &w, 7, &mut computed), computed), (None, 2));
        assert_eq!((read(&cpu, &other, 7, &mut computed), computed), (Some(8.0), 2));
    }
}
