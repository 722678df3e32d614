//! Coefficients of progressive JPEGs.

use super::ZIGZAG;
use super::planes::MAX_KEPT_BYTES;

/// Coefficients of all blocks of a component, in block order.
#[derive(Debug, Default)]
pub(super) struct CoefficientPlane {
    pub values: Vec<i16>,
    /// Bit mask of the nonzero coefficients of each block by zigzag index, excluding the DC.
    pub used: Vec<u64>,
    pub across: usize,
    pub down: usize,
}

impl CoefficientPlane {
    pub fn new(across: usize, down: usize) -> Self {
        Self { values: vec![0; 64 * across * down], used: vec![0; across * down], across, down }
    }

    /// A block; `None` beyond the last one across or down, where MCUs extend.
    #[inline(always)]
    pub fn block(&mut self, x: usize, y: usize) -> Option<&mut [i16; 64]> {
        let is_within = x < self.across && y < self.down;
        let at = 64 * (y * self.across + x);
        is_within.then(|| self.values[at..].first_chunk_mut()).flatten()
    }

    /// Frees all rows of blocks but the first `rows`, if they take much memory.
    pub fn keep_rows(&mut self, rows: usize) {
        if size_of_val(self.values.as_slice()) > MAX_KEPT_BYTES {
            self.values.truncate(64 * rows * self.across);
            self.values.shrink_to_fit();
        }
    }
}

/// The coefficients of an AC scan.
pub(super) struct SpectralBand {
    pub first: usize,
    pub last: usize,
    pub low: u8,
}

impl SpectralBand {
    /// Bit mask of its coefficients from `k` on.
    pub fn from(&self, k: usize) -> u64 {
        let beyond = u64::MAX.checked_shl(k as u32).unwrap_or(0);
        beyond & u64::MAX >> (63 - self.last)
    }
}

/// A block of coefficients.
pub(super) struct CoefficientBlock<'a> {
    pub values: &'a mut [i16; 64],
    pub used: &'a mut u64,
}

impl CoefficientBlock<'_> {
    #[inline(always)]
    pub fn value(&mut self, k: usize) -> &mut i16 {
        &mut self.values[usize::from(ZIGZAG[k & 63]) & 63]
    }

    /// Sets the k-th coefficient.
    #[inline(always)]
    pub fn set(&mut self, k: usize, value: i16) {
        *self.value(k) = value;
        let bit = 1 << (k & 63);
        *self.used = if value == 0 { *self.used & !bit } else { *self.used | bit };
    }
}
