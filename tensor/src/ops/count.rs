//! Counting whole numbers.

use crate::{Backend, Device, Ints, Result};

/// What a backend supplies.
pub trait Kernels: Device {
    /// How many of `len` values are at least `least`: one value.
    fn count_at_least(&self, len: usize, x: &Self::Ints, least: u32) -> Result<Self::Ints>;
}

impl<B: Backend> Ints<B> {
    /// How many values are at least `least`, as one value that stays on the device. Of ranks, with 1: the wrong guesses.
    pub fn count_at_least(&self, least: u32) -> Result<Self> {
        let count = self.device().count_at_least(self.len(), &self.data, least)?;
        Ok(Self::from_parts(self.device().clone(), 1, count))
    }
}
