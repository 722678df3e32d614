//! Softmax and cross-entropy: one cube for each row, which is read from memory once and then from the cache.

use cubecl::prelude::*;

use super::block_reduce::{Reduction, block_reduce, rank};
use super::precision::dispatch;
use super::reduce::row_units;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::cross_entropy::{CrossEntropyBackward, CrossEntropyForward, RankOfLabel, Softmax};
use crate::{Kernel, Result};

/// The largest value of a row and the sum of e^(x - max), for every unit. No term overflows and one is 1, so that the
/// sum is never 0. NaN is never the maximum; it reaches the sum through its own term.
#[cube]
fn max_and_sum<F: Float>(x: &Array<F>, start: usize, c: usize, #[comptime] units: usize) -> (f32, f32) {
    // Minus infinity has no literal in CUDA. A row of minus infinities gives NaN either way.
    let mut largest = f32::MIN.runtime();
    let mut i = UNIT_POS as usize;
    while i < c {
        let value = f32::cast_from(x[start + i]);
        largest = select(value > largest, value, largest);
        i += units;
    }
    let largest = block_reduce::<f32>(largest, Reduction::Max, units);
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < c {
        sum += f32::exp(f32::cast_from(x[start + i]) - largest);
        i += units;
    }
    (largest, block_reduce::<f32>(sum, Reduction::Sum, units))
}

#[cube(launch)]
fn softmax_kernel<F: Float>(x: &Array<F>, y: &mut Array<F>, rows: usize, c: usize, #[comptime] units: usize) {
    let c = select(CUBE_POS < rows, c, 0);
    let start = CUBE_POS * c;
    let (largest, sum) = max_and_sum::<F>(x, start, c, units);
    let mut i = UNIT_POS as usize;
    while i < c {
        y[start + i] = F::cast_from(f32::exp(f32::cast_from(x[start + i]) - largest) / sum);
        i += units;
    }
}

/// The loss of a label out of range is NaN.
#[cube(launch)]
fn loss_kernel<F: Float>(
    x: &Array<F>,
    labels: &Array<u32>,
    losses: &mut Array<f32>,
    c: usize,
    #[comptime] units: usize,
) {
    let c = select(CUBE_POS < losses.len(), c, 0);
    let start = CUBE_POS * c;
    let (largest, sum) = max_and_sum::<F>(x, start, c, units);
    if UNIT_POS == 0 && CUBE_POS < losses.len() {
        let label = labels[CUBE_POS];
        let logit = f32::cast_from(x[start + min(label as usize, c - 1)]);
        let loss = f32::ln(sum) + (largest - logit);
        let nan = label | 0x7fc0_0000u32;
        losses[CUBE_POS] = select((label as usize) < c, loss, f32::reinterpret(nan));
    }
}

#[cube(launch)]
fn dx_kernel<F: Float>(
    x: &Array<F>,
    labels: &Array<u32>,
    factor: f32,
    dx: &mut Array<F>,
    c: usize,
    #[comptime] units: usize,
) {
    let rows = labels.len();
    let c = select(CUBE_POS < rows, c, 0);
    let start = CUBE_POS * c;
    let (largest, sum) = max_and_sum::<F>(x, start, c, units);
    let label = labels[min(CUBE_POS, rows - 1)] as usize;
    let mut i = UNIT_POS as usize;
    while i < c {
        let y = f32::exp(f32::cast_from(x[start + i]) - largest) / sum * factor;
        dx[start + i] = F::cast_from(select(i == label, y - factor, y));
        i += units;
    }
}

/// The rank of a label out of range is c: all classes come before it.
#[cube(launch)]
fn rank_of_label_kernel<F: Float>(
    x: &Array<F>,
    labels: &Array<u32>,
    ranks: &mut Array<u32>,
    c: usize,
    #[comptime] units: usize,
) {
    let rows = ranks.len();
    let c = select(CUBE_POS < rows, c, 0);
    let start = CUBE_POS * c;
    let label = labels[min(CUBE_POS, rows - 1)] as usize;
    // 0, which is below all ranks, where the label is out of range.
    let label_rank = select(label < c, rank(f32::cast_from(x[start + min(label, max(c, 1) - 1)])), 0u32);
    let mut before = 0u32;
    let mut i = UNIT_POS as usize;
    while i < c {
        let value = rank(f32::cast_from(x[start + i]));
        before += select(value > label_rank || (value == label_rank && i < label), 1u32, 0u32);
        i += units;
    }
    let before = block_reduce::<u32>(before, Reduction::Sum, units);
    if UNIT_POS == 0 && CUBE_POS < rows {
        ranks[CUBE_POS] = before;
    }
}

impl<R: Runtime> Kernel<Softmax> for Gpu<R> {
    fn run(&self, op: &Softmax, [logits]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let &Softmax { rows, classes: c } = op;
        self.addressable("softmax", rows * c)?;
        let y = self.empty(logits.dtype(), rows * c);
        if rows * c > 0 {
            let units = row_units(c);
            let (count, dim) = self.cube_grid(rows, units);
            let client = self.client();
            dispatch!(logits.dtype(), F => {
                softmax_kernel::launch::<F, R>(
                    client, count, dim, logits.arg(), y.arg(), rows, c, units as usize,
                );
            });
        }
        Ok([y])
    }
}

impl<R: Runtime> Kernel<CrossEntropyForward> for Gpu<R> {
    fn run(
        &self,
        op: &CrossEntropyForward,
        ([logits], [labels]): ([&Buffer; 1], [&IntBuffer; 1]),
    ) -> Result<[Buffer; 1]> {
        let &CrossEntropyForward { rows, classes: c } = op;
        self.addressable("cross-entropy", rows * c)?;
        let losses = self.empty(Dtype::F32, rows);
        if rows > 0 {
            let units = row_units(c);
            let (count, dim) = self.cube_grid(rows, units);
            let client = self.client();
            dispatch!(logits.dtype(), F => {
                loss_kernel::launch::<F, R>(
                    client, count, dim, logits.arg(), labels.arg(), losses.arg(), c, units as usize,
                );
            });
        }
        Ok([losses])
    }
}

impl<R: Runtime> Kernel<CrossEntropyBackward> for Gpu<R> {
    fn run(
        &self,
        op: &CrossEntropyBackward,
        ([logits], [labels]): ([&Buffer; 1], [&IntBuffer; 1]),
    ) -> Result<[Buffer; 1]> {
        let &CrossEntropyBackward { rows, classes: c, factor } = op;
        self.addressable("cross-entropy backward", rows * c)?;
        let dx = self.empty(logits.dtype(), rows * c);
        if rows > 0 {
            let units = row_units(c);
            let (count, dim) = self.cube_grid(rows, units);
            let client = self.client();
            let factor = factor as f32;
            dispatch!(logits.dtype(), F => {
                dx_kernel::launch::<F, R>(
                    client, count, dim, logits.arg(), labels.arg(), factor, dx.arg(), c, units as usize,
                );
            });
        }
        Ok([dx])
    }
}

impl<R: Runtime> Kernel<RankOfLabel> for Gpu<R> {
    fn run(
        &self,
        op: &RankOfLabel,
        ([logits], [labels]): ([&Buffer; 1], [&IntBuffer; 1]),
    ) -> Result<([Buffer; 0], [IntBuffer; 1])> {
        let &RankOfLabel { rows, classes: c } = op;
        self.addressable("label rank", rows * c)?;
        let ranks = self.empty_ints(rows);
        if rows > 0 {
            let units = row_units(c);
            let (count, dim) = self.cube_grid(rows, units);
            let client = self.client();
            dispatch!(logits.dtype(), F => {
                rank_of_label_kernel::launch::<F, R>(
                    client, count, dim, logits.arg(), labels.arg(), ranks.arg(), c, units as usize,
                );
            });
        }
        Ok(([], [ranks]))
    }
}
