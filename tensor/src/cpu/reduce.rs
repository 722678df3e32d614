//! Sums and maxima. Other kernels use the ordered sums too.

use std::ops::Range;

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use crate::ops::reduce::{AllFinite, MaxAndArgmax, Sum, SumRows};
use crate::{Cpu, Device, Element, Result};

/// The number of values in one job: enough to outweigh the cost of scheduling it, few enough to stay in the cache.
pub(super) const JOB: usize = 16_384;
/// The number of values that [`sum_slice`] adds in one pass. Longer slices are halved, so that the error grows with the
/// logarithm of the length.
const LEAF: usize = 512;
/// The number of rows that [`sum_rows_by`] adds one after the other.
pub(super) const LEAF_ROWS: usize = 64;
/// The number of columns in one job of [`sum_rows_by`].
pub(super) const COLUMNS: usize = 1024;

/// The number of rows of `c` values in one job.
pub(super) fn rows_per_job(c: usize) -> usize {
    (JOB / c.max(1)).max(1)
}

/// The sum of both halves' sums, down to [`LEAF`] values, which are added in 16 interleaved sums.
pub(super) fn sum_slice<E: Element>(x: &[E]) -> E {
    if x.len() > LEAF {
        let (a, b) = x.split_at((x.len() / 2).next_multiple_of(LEAF));
        return sum_slice(a) + sum_slice(b);
    }
    let mut lanes = [E::zero(); 16];
    let (whole, rest) = x.as_chunks::<16>();
    for chunk in whole {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += v;
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(rest) {
        *lane += v;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// Sums over rows, for each column. `add(row, columns, sums)` adds the terms of one row in these columns to their sums.
///
/// The rows are halved down to [`LEAF_ROWS`], so the order of the sums depends on their number alone. To be called
/// within [`install`](Cpu::install).
pub(super) fn sum_rows_by<E, F>(rows: usize, sums: &mut [E], add: &F)
where
    E: Element,
    F: Fn(usize, Range<usize>, &mut [E]) + Sync,
{
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, sums)| {
        let columns = i * COLUMNS..i * COLUMNS + sums.len();
        sum_range(0..rows, columns, sums, add);
    });
}

/// The row at which a range is halved.
pub(super) fn middle(rows: Range<usize>) -> usize {
    rows.start + rows.len().div_ceil(2).next_multiple_of(LEAF_ROWS)
}

fn sum_range<E, F>(rows: Range<usize>, columns: Range<usize>, sums: &mut [E], add: &F)
where
    E: Element,
    F: Fn(usize, Range<usize>, &mut [E]) + Sync,
{
    if rows.len() <= LEAF_ROWS {
        sums.fill(E::zero());
        rows.for_each(|row| add(row, columns.clone(), sums));
        return;
    }
    let middle = middle(rows.clone());
    let mut others = vec![E::zero(); sums.len()];
    let values = rows.len() * columns.len();
    let first = || sum_range(rows.start..middle, columns.clone(), sums, add);
    let second = || sum_range(middle..rows.end, columns.clone(), &mut others, add);
    if values > JOB {
        rayon::join(first, second);
    } else {
        // The same sums on this thread: there are too few to share.
        let mut first = first;
        let mut second = second;
        first();
        second();
    }
    for (sum, &other) in sums.iter_mut().zip(&others) {
        *sum += other;
    }
}

/// The largest value and its index: the first of equal values. NaN is larger than all others.
fn largest<E: Element>(row: &[E]) -> (E, u32) {
    let mut best = (E::nan(), 0);
    for (i, &v) in row.iter().enumerate() {
        if v.is_nan() {
            return (v, i as u32);
        }
        if i == 0 || v > best.0 {
            best = (v, i as u32);
        }
    }
    best
}

impl<E: Element> CpuKernel<Sum> for Cpu<E> {
    fn run(&self, op: &Sum, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let x = &x.as_slice()[..op.len];
        let parts: Vec<E> = self.install(|| x.par_chunks(JOB).map(sum_slice).collect());
        Ok([self.full(1, sum_slice(&parts))?])
    }
}

impl<E: Element> CpuKernel<SumRows> for Cpu<E> {
    fn run(&self, op: &SumRows, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let &SumRows { rows, channels: c } = op;
        if c == 1 {
            return self.run(&Sum { len: rows }, [x]);
        }
        let mut sums = self.alloc(c)?;
        let x = x.as_slice();
        let add = |row: usize, columns: Range<usize>, sums: &mut [E]| {
            let row = &x[row * c..][columns];
            for (sum, &v) in sums.iter_mut().zip(row) {
                *sum += v;
            }
        };
        let out = sums.make_mut()?;
        self.install(|| sum_rows_by(rows, out, &add));
        Ok([sums])
    }
}

impl<E: Element> CpuKernel<MaxAndArgmax> for Cpu<E> {
    fn run(&self, op: &MaxAndArgmax, [x]: [&Buffer<E>; 1]) -> Result<([Buffer<E>; 1], [Buffer<u32>; 1])> {
        let &MaxAndArgmax { rows, channels: c } = op;
        let mut values = self.alloc(rows)?;
        let mut indices = self.alloc_ints(rows)?;
        let max = values.make_mut()?;
        let argmax = indices.make_mut()?;
        let x = x.as_slice();
        let job = rows_per_job(c);
        self.install(|| {
            let outputs = max.par_chunks_mut(job).zip(argmax.par_chunks_mut(job));
            outputs.zip(x.par_chunks(job * c)).for_each(|((max, argmax), x)| {
                for ((max, argmax), row) in max.iter_mut().zip(argmax).zip(x.chunks_exact(c)) {
                    (*max, *argmax) = largest(row);
                }
            });
        });
        Ok(([values], [indices]))
    }
}

impl<E: Element> CpuKernel<AllFinite> for Cpu<E> {
    fn run(&self, op: &AllFinite, [x]: [&Buffer<E>; 1]) -> Result<([Buffer<E>; 0], [Buffer<u32>; 1])> {
        let x = &x.as_slice()[..op.len];
        // Without a branch, so that it is vectorised.
        let are_finite = |values: &[E]| values.iter().fold(true, |all, v| all & v.is_finite());
        let all = self.install(|| x.par_chunks(JOB).all(are_finite));
        Ok(([], [self.upload_ints(&[u32::from(all)])?]))
    }
}
