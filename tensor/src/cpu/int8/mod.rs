//! Matrices of 8-bit integers with a scale per row: the weights of fully connected layers, for prediction.
//!
//! On few images such a layer takes the time of reading its weights: 235 MB in `f32` of the 244 MB of `paper`, 59 MB so.
//! A weight is its row's scale times an integer from -127 to 127; the scale is the largest absolute value of the row
//! divided by 127. So an error is at most half a scale.

mod product;

use rayon::prelude::*;

use super::gemv::PANEL;
use super::matrix::transpose;
use super::simd::multiversion;
use super::{Buffer, Cpu};
use crate::Result;

/// The largest integer.
const LARGEST: f32 = 127.0;
/// Columns in a block of [`Int8Matrix::widen_rows`], whose values stay in the L1 cache.
const BLOCK: usize = 64;

/// Weights `[rows, columns]` of a fully connected layer, rounded. Rows lie in panels as those of
/// [`gemv`](super::gemv) do, the last one filled up with zeros.
pub(super) struct Int8Matrix {
    rows: usize,
    columns: usize,
    /// `[panels, columns, PANEL]`.
    values: Buffer<i8>,
    /// One for each row, and zeros to the end of the last panel.
    scales: Vec<f32>,
}

impl Int8Matrix {
    /// Rounds a matrix. A row with a value that is not finite gets the scale NaN, so that its results are NaN too.
    pub fn new(cpu: &Cpu<f32>, rows: usize, columns: usize, from: &[f32]) -> Result<Self> {
        assert_eq!(from.len(), rows * columns, "a matrix of {rows} rows");
        let panels = rows.div_ceil(PANEL);
        let mut values = cpu.alloc_int8(panels * PANEL * columns)?;
        let mut scales = vec![0.0; panels * PANEL];
        let to = values.make_mut()?;
        cpu.install(|| {
            let panels = to.par_chunks_mut((PANEL * columns).max(1)).zip(scales.par_chunks_mut(PANEL));
            panels.enumerate().try_for_each(|(i, (panel, scales))| {
                let from = &from[i * PANEL * columns..rows.min((i + 1) * PANEL) * columns];
                round_panel(cpu, from, columns, panel, scales)
            })
        })?;
        Ok(Self { rows, columns, values, scales })
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Bytes of the integers and the scales.
    pub fn bytes(&self) -> usize {
        self.values.len() + size_of_val(self.scales.as_slice())
    }

    /// Copies the values to `f32`.
    pub fn widen(&self, to: &mut [f32]) {
        let rows = to.chunks_mut((PANEL * self.columns).max(1));
        rows.enumerate().for_each(|(panel, rows)| self.widen_rows(panel, rows));
    }

    /// Copies the values to `f32`, on the threads of the caller's pool.
    pub fn widen_in_parallel(&self, to: &mut [f32]) {
        let rows = to.par_chunks_mut((PANEL * self.columns).max(1));
        rows.enumerate().for_each(|(panel, rows)| self.widen_rows(panel, rows));
    }

    /// Copies the rows of a panel.
    fn widen_rows(&self, panel: usize, to: &mut [f32]) {
        let values = self.panel(panel);
        for start in (0..self.columns).step_by(BLOCK) {
            let end = self.columns.min(start + BLOCK);
            for (row, to) in to.chunks_exact_mut(self.columns).enumerate() {
                let scale = self.scales[panel * PANEL + row];
                for (column, to) in (start..end).zip(&mut to[start..end]) {
                    *to = scale * f32::from(values[column * PANEL + row]);
                }
            }
        }
    }

    /// The integers `[columns, PANEL]` of a panel.
    fn panel(&self, i: usize) -> &[i8] {
        &self.values.as_slice()[i * PANEL * self.columns..][..PANEL * self.columns]
    }
}

/// Rounds the rows `from` of a panel.
fn round_panel(cpu: &Cpu<f32>, from: &[f32], columns: usize, panel: &mut [i8], scales: &mut [f32]) -> Result<()> {
    let rows = from.len() / columns;
    let mut factors = [0.0; PANEL];
    for (row, values) in from.chunks_exact(columns).enumerate() {
        let scale = if values.iter().all(|v| v.is_finite()) { largest(values) / LARGEST } else { f32::NAN };
        scales[row] = scale;
        // Values that are hardly more than 0 become 0.
        factors[row] = if scale.is_normal() { 1.0 / scale } else { 0.0 };
    }
    let mut by_column = cpu.alloc(from.len())?;
    transpose(from, rows, columns, by_column.make_mut()?, |_, _| {});
    panel.fill(0);
    round_columns(by_column.as_slice(), &factors[..rows], panel);
    Ok(())
}

multiversion! {
    fn largest(values: &[f32]) -> f32 {
        let mut lanes = [0.0f32; 16];
        for values in values.chunks(lanes.len()) {
            for (largest, v) in lanes.iter_mut().zip(values) {
                *largest = largest.max(v.abs());
            }
        }
        lanes.into_iter().fold(0.0, f32::max)
    }
}

multiversion! {
    /// Integers `[columns, PANEL]` of values `[columns, rows]`.
    fn round_columns(from: &[f32], factors: &[f32], panel: &mut [i8]) {
        for (from, to) in from.chunks_exact(factors.len()).zip(panel.chunks_exact_mut(PANEL)) {
            for ((to, v), factor) in to.iter_mut().zip(from).zip(factors) {
                *to = (v * factor).round_ties_even() as i8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::{Stream, purpose};

    fn draw(seed: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(seed, purpose::USER, 0);
        (0..len as u64).map(|i| (2.0 * stream.uniform(i) - 1.0) * (1.0 + stream.uniform(i / 7))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn errors_are_at_most_half_a_scale(
            rows in 1usize..2 * PANEL + 9, columns in 1usize..100, factor in -30i32..30, seed in 0u64..99,
        ) {
            let factor = 2f32.powi(factor);
            let values: Vec<f32> = draw(seed, rows * columns).into_iter().map(|v| factor * v).collect();
            let cpu = Cpu::<f32>::new(2).unwrap();
            let matrix = Int8Matrix::new(&cpu, rows, columns, &values).unwrap();
            prop_assert_eq!(matrix.len(), values.len());
            let mut back = vec![f32::NAN; values.len()];
            matrix.widen(&mut back);
            let mut parallel = vec![f32::NAN; values.len()];
            cpu.install(|| matrix.widen_in_parallel(&mut parallel));
            prop_assert_eq!(&back, &parallel);
            for (values, back) in values.chunks(columns).zip(back.chunks(columns)) {
                let largest = values.iter().fold(0f32, |largest, v| largest.max(v.abs()));
                for (v, back) in values.iter().zip(back) {
                    prop_assert!((v - back).abs() <= largest / LARGEST * 0.5001, "{v}, {back}, of {largest}");
                    prop_assert!(v.abs() < largest || (v / back - 1.0).abs() < 1e-6, "the largest: {v}, {back}");
                }
            }
        }
    }

    #[test]
    fn rows_with_nan_are_nan_and_zeros_stay() {
        let cpu = Cpu::<f32>::new(1).unwrap();
        let values = [0.0, 0.0, 1.0, f32::NAN, f32::INFINITY, 2.0, -1.27, 0.011, 1e-44, -1e-44];
        let matrix = Int8Matrix::new(&cpu, 5, 2, &values).unwrap();
        let mut back = [7.0; 10];
        matrix.widen(&mut back);
        assert_eq!(back[..2], [0.0, 0.0]);
        assert!(back[2..6].iter().all(|v| v.is_nan()));
        assert_eq!(back[6..8].iter().map(|v| (100.0 * v).round()).collect::<Vec<_>>(), [-127.0, 1.0]);
        assert!(back[8..].iter().all(|v| v.abs() < 1e-43));
    }

    #[test]
    fn a_matrix_may_be_empty() {
        let cpu = Cpu::<f32>::new(1).unwrap();
        for [rows, columns] in [[0, 3], [3, 0], [0, 0]] {
            let matrix = Int8Matrix::new(&cpu, rows, columns, &[]).unwrap();
            assert_eq!(matrix.len(), 0);
            matrix.widen(&mut []);
        }
    }
}
