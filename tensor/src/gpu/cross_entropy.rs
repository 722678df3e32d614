//! Softmax and cross-entropy: a cube a row, which it reads from memory once and then from the cache.

use cubecl::prelude::*;

use super::cube::{Fold, fold_cube, rank};
use super::precision::dispatch;
use super::reduce::row_units;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::cross_entropy::{CrossEntropyBackward, CrossEntropyForward, RankOfLabel, Softmax};
use crate::{Kernel, Result};

/// The largest of a row and the sum of e^(x - max), for every unit. None overflows and one is 1, so that the sum is
/// never 0; NaN is no maximum, and spreads through its own power.
#[cube]
fn max_and_sum<F: Float>(x: &Array<F>, start: usize, c: usize, #[comptime] units: usize) -> (f32, f32) {
    // Not minus infinity, which is no literal in CUDA: a row of nothing else gives NaN either way.
    let mut largest = f32::MIN.runtime();
    let mut i = UNIT_POS as usize;
    while i < c {
        let value = f32::cast_from(x[start + i]);
        largest = select(value > largest, value, largest);
        i += units;
    }
    let largest = fold_cube::<f32>(largest, Fold::Max, units);
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < c {
        sum += f32::exp(f32::cast_from(x[start + i]) - largest);
        i += units;
    }
    (largest, fold_cube::<f32>(sum, Fold::Sum, units))
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

/// The loss of a label that is no class is NaN.
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
        let own = f32::cast_from(x[start + min(label as usize, c - 1)]);
        let loss = f32::ln(sum) + (largest - own);
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

/// The rank of a label that is no class is c: all classes come before it.
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
    // Below all where the label is no class.
    let own = select(label < c, rank(f32::cast_from(x[start + min(label, max(c, 1) - 1)])), 0u32);
    let mut before = 0u32;
    let mut i = UNIT_POS as usize;
    while i < c {
        let value = rank(f32::cast_from(x[start + i]));
        before += select(value > own || (value == own && i < label), 1u32, 0u32);
        i += units;
    }
    let before = fold_cube::<u32>(before, Fold::Sum, units);
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
            let (count, dim) = self.spread(rows, units);
            dispatch!(logits.dtype(), F => {
                let (client, x, y) = (self.client(), logits.arg(), y.arg());
                softmax_kernel::launch::<F, R>(client, count, dim, x, y, rows, c, units as usize);
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
            let (count, dim) = self.spread(rows, units);
            dispatch!(logits.dtype(), F => {
                let (client, x, losses) = (self.client(), logits.arg(), losses.arg());
                loss_kernel::launch::<F, R>(client, count, dim, x, labels.arg(), losses, c, units as usize);
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
            let (units, factor) = (row_units(c), factor as f32);
            let (count, dim) = self.spread(rows, units);
            dispatch!(logits.dtype(), F => {
                let (client, x, dx) = (self.client(), logits.arg(), dx.arg());
                dx_kernel::launch::<F, R>(client, count, dim, x, labels.arg(), factor, dx, c, units as usize);
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
            let (count, dim) = self.spread(rows, units);
            dispatch!(logits.dtype(), F => {
                let (client, x, ranks) = (self.client(), logits.arg(), ranks.arg());
                rank_of_label_kernel::launch::<F, R>(client, count, dim, x, labels.arg(), ranks, c, units as usize);
            });
        }
        Ok(([], [ranks]))
    }
}
