//! The gradient of a fully connected layer's weights on tiles. It is as large as the weights, and its sums are short: the
//! bound is writing it once, past the caches.

use rayon::prelude::*;

use super::linear::TileProduct;
use super::pack::{a_of_columns, b_of_rows};
use super::tile::{BLOCK, Product, ROWS, Sums, TERMS, TILE, prepare};
use crate::cpu::Cpu;
use crate::{Element, Result};

/// Outputs of a task, whose dy stays in the L1 cache.
const OUTPUTS: usize = 128;

impl TileProduct {
    /// dy, transposed, is operand a, and pairs of rows of x operand b.
    pub(super) fn weight_gradient<E: Element>(
        &self,
        cpu: &Cpu<E>,
        dy: &[u16],
        x: &[u16],
        dw: &mut [f32],
    ) -> Result<()> {
        let steps = self.steps();
        let mut a = cpu.alloc_halves(self.m.div_ceil(ROWS) * steps * TILE)?;
        a.make_mut()?.par_chunks_mut(steps * TILE).enumerate().for_each(|(i, tiles)| {
            for (step, tile) in tiles.chunks_exact_mut(TILE).enumerate() {
                let from = dy[step * TERMS * self.m + i * ROWS..].as_ptr();
                let rows = self.k - step * TERMS;
                // SAFETY: the rows and columns lie in dy.
                unsafe { a_of_columns(from, self.m, rows, self.m - i * ROWS, tile.as_mut_ptr()) };
            }
        });
        let mut b = cpu.alloc_halves(self.n.div_ceil(ROWS) * steps * TILE)?;
        b.make_mut()?.par_chunks_mut(steps * TILE).enumerate().for_each(|(i, tiles)| {
            for (step, tile) in tiles.chunks_exact_mut(TILE).enumerate() {
                let from = x[step * TERMS * self.n + i * ROWS..].as_ptr();
                let rows = self.k - step * TERMS;
                // SAFETY: the rows and columns lie in x.
                unsafe { b_of_rows(from, self.n, rows, self.n - i * ROWS, ROWS, tile.as_mut_ptr()) };
            }
        });
        let a = a.as_slice();
        let b = b.as_slice();
        dw.par_chunks_mut(OUTPUTS * self.n).enumerate().for_each(|(i, dw)| {
            prepare(self.unit);
            self.weight_rows(a, b, i * OUTPUTS, dw);
        });
        Ok(())
    }

    /// The rows of dw from `first` on that `dw` holds.
    fn weight_rows(&self, a: &[u16], b: &[u16], first: usize, dw: &mut [f32]) {
        let steps = self.steps();
        let rows = dw.len() / self.n;
        let mut sums = Sums::default();
        for column in (0..self.n).step_by(BLOCK) {
            let columns = BLOCK.min(self.n - column);
            let b = b[column * steps * TERMS..].as_ptr();
            for row in (0..rows).step_by(BLOCK) {
                let count = BLOCK.min(rows - row);
                let a = a[(first + row) * steps * TERMS..].as_ptr();
                let product = Product {
                    c: sums.0.as_mut_ptr().cast(),
                    c_row: BLOCK * size_of::<f32>(),
                    accumulate: 0,
                    a_row: TERMS * 2,
                    run_steps: steps,
                    steps: [TILE * 2; 2],
                    jumps: [0; 2],
                    runs: 1,
                    a: [a, a.wrapping_add(steps * TILE)],
                    b: [b, b.wrapping_add(steps * TILE)],
                    tiles: [count.div_ceil(ROWS), columns.div_ceil(ROWS)],
                };
                // SAFETY: the operands hold the tiles of the rows and columns.
                unsafe { product.run(self.unit) };
                for (i, sums) in sums.0[..count].iter().enumerate() {
                    store_nontemporal(&sums[..columns], &mut dw[(row + i) * self.n + column..][..columns]);
                }
            }
        }
        fence();
    }
}

/// Copies values past the caches, where they are whole cache lines: those of dw are not read again soon.
#[inline]
fn store_nontemporal(from: &[f32], to: &mut [f32]) {
    use std::arch::x86_64::{_mm512_loadu_ps, _mm512_stream_ps};
    /// Values of a cache line.
    const LINE: usize = 16;
    #[target_feature(enable = "avx512f")]
    unsafe fn copy(from: &[f32], to: &mut [f32]) {
        for (from, to) in from.chunks_exact(LINE).zip(to.chunks_exact_mut(LINE)) {
            // SAFETY: both have 16 values, and `to` starts a cache line.
            unsafe { _mm512_stream_ps(to.as_mut_ptr(), _mm512_loadu_ps(from.as_ptr())) };
        }
    }
    if from.len().is_multiple_of(LINE) && to.as_ptr().addr().is_multiple_of(64) {
        // SAFETY: a unit proves the instructions.
        unsafe { copy(from, to) };
    } else {
        to.copy_from_slice(from);
    }
}

/// Orders nontemporal stores before the later stores of this thread.
fn fence() {
    // SAFETY: an instruction of the baseline.
    unsafe { std::arch::x86_64::_mm_sfence() };
}
