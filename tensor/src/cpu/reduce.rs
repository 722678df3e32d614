//! Sums and maxima, and the ordered sums that other kernels share.

use std::ops::Range;

use rayon::prelude::*;

use super::Buffer;
use crate::ops::reduce::{AllFinite, MaxAndArgmax, Sum, SumRows};
use crate::{Cpu, Device, Element, Kernel, Result};

/// Values that one job works on: enough to outweigh handing it to a thread, few enough to stay in the cache.
pub(super) const JOB: usize = 16_384;
/// Values added in one pass of `sum_slice`: longer slices are halved, so the error grows with the logarithm.
const LEAF: usize = 512;
/// Rows added one after the other by `sum_rows_by`.
pub(super) const LEAF_ROWS: usize = 64;
/// Columns that one job of `sum_rows_by` adds up.
pub(super) const COLUMNS: usize = 1024;

/// Rows of `c` values for one job.
pub(super) fn rows_per_job(c: usize) -> usize {
    (JOB / c.max(1)).max(1)
}

/// The sum by halves down to `LEAF` values, those in 16 interleaved sums.
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

/// Sums over rows, by column: `add(row, columns, sums)` adds a row's terms of some columns to their sums.
///
/// The rows are halved down to `LEAF_ROWS`, so the order follows from their number alone. Call inside `install`.
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

/// Where rows are halved.
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
        // In place: the tree is the same, only the threads are not worth it.
        let (mut first, mut second) = (first, second);
        first();
        second();
    }
    for (sum, &other) in sums.iter_mut().zip(&others) {
        *sum += other;
    }
}

/// The largest value and its place: of equals the first; NaN is larger than all.
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

impl<E: Element> Kernel<Sum> for Cpu<E> {
    fn run(&self, op: &Sum, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let x = &x.as_slice()[..op.len];
        let parts: Vec<E> = self.install(|| x.par_chunks(JOB).map(sum_slice).collect());
        Ok([self.full(1, sum_slice(&parts))?])
    }
}

impl<E: Element> Kernel<SumRows> for Cpu<E> {
    fn run(&self, op: &SumRows, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let &SumRows { rows, channels: c } = op;
        if c == 1 {
            return self.run(&Sum { len: rows }, [x]);
        }
        let mut sums = self.take(c)?;
        let (x, out) = (x.as_slice(), sums.make_mut()?);
        let add = |row: usize, columns: Range<usize>, sums: &mut [E]| {
            let row = &x[row * c..][columns];
            for (sum, &v) in sums.iter_mut().zip(row) {
                *sum += v;
            }
        };
        self.install(|| sum_rows_by(rows, out, &add));
        Ok([sums])
    }
}

impl<E: Element> Kernel<MaxAndArgmax> for Cpu<E> {
    fn run(&self, op: &MaxAndArgmax, [x]: [&Buffer<E>; 1]) -> Result<([Buffer<E>; 1], [Buffer<u32>; 1])> {
        let &MaxAndArgmax { rows, channels: c } = op;
        let mut values = self.take(rows)?;
        let mut indices = self.take_ints(rows)?;
        let value = values.make_mut()?;
        let place = indices.make_mut()?;
        let x = x.as_slice();
        let job = rows_per_job(c);
        self.install(|| {
            let outputs = value.par_chunks_mut(job).zip(place.par_chunks_mut(job));
            outputs.zip(x.par_chunks(job * c)).for_each(|((value, place), x)| {
                for ((value, place), row) in value.iter_mut().zip(place).zip(x.chunks_exact(c)) {
                    (*value, *place) = largest(row);
                }
            });
        });
        Ok(([values], [indices]))
    }
}

impl<E: Element> Kernel<AllFinite> for Cpu<E> {
    fn run(&self, op: &AllFinite, [x]: [&Buffer<E>; 1]) -> Result<([Buffer<E>; 0], [Buffer<u32>; 1])> {
        let x = &x.as_slice()[..op.len];
        let finite = |part: &[E]| part.iter().fold(true, |all, v| all & v.is_finite());
        let all = self.install(|| x.par_chunks(JOB).all(finite));
        Ok(([], [self.upload_ints(&[u32::from(all)])?]))
    }
}
