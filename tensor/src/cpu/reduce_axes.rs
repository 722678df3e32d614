//! Sums, maxima and minima over an axis. Work is divided by outer and inner positions.

use std::ops::Range;

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::elementwise::{maximum, minimum};
use super::reduce::{COLUMNS, JOB, rows_per_job, sum_rows_by, sum_slice};
use super::simd::multiversion;
use crate::ops::reduce::SumRows;
use crate::ops::reduce_axes::{ExtremumBackward, ReduceAxis, ReduceOperator};
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<ReduceAxis> for Cpu<E> {
    fn run(&self, op: &ReduceAxis, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let &ReduceAxis { operator, outer, len, inner } = op;
        if operator == ReduceOperator::Sum && outer == 1 {
            return self.run(&SumRows { rows: len, channels: inner }, [x]);
        }
        let mut result = self.alloc(outer * inner)?;
        let y = result.make_mut()?;
        let x = x.as_slice();
        // Several short rows are one job.
        let rows = rows_per_job(len.saturating_mul(inner));
        self.install(|| {
            y.par_chunks_mut(rows.saturating_mul(inner).max(1)).enumerate().for_each(|(job, y)| {
                for (i, y) in y.chunks_exact_mut(inner).enumerate() {
                    let x = &x[(job * rows + i) * len * inner..][..len * inner];
                    match operator {
                        ReduceOperator::Sum => sum(x, y),
                        ReduceOperator::Max => extrema(x, y, true),
                        ReduceOperator::Min => extrema(x, y, false),
                    }
                }
            });
        });
        Ok([result])
    }
}

/// The sums of `[len, inner]` over the rows.
fn sum<E: Element>(x: &[E], y: &mut [E]) {
    let inner = y.len();
    if let [y] = y {
        *y = sum_slice(x);
        return;
    }
    let add = |row: usize, columns: Range<usize>, sums: &mut [E]| {
        let row = &x[row * inner..][columns];
        sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += v);
    };
    sum_rows_by(x.len() / inner, y, &add);
}

/// The maxima, or else minima, of `[len, inner]` over the rows.
fn extrema<E: Element>(x: &[E], y: &mut [E], is_max: bool) {
    let width = y.len();
    if let [y] = y {
        // The parts stay in order, so that the first of equal values counts.
        let parts: Vec<E> = x.par_chunks(JOB).map(|part| fold(part, is_max)).collect();
        *y = fold(&parts, is_max);
        return;
    }
    y.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, y)| extrema_from(i * COLUMNS, x, width, y, is_max));
}

fn fold<E: Element>(x: &[E], is_max: bool) -> E {
    let others = x[1..].iter();
    if is_max { others.fold(x[0], |a, &b| maximum(a, b)) } else { others.fold(x[0], |a, &b| minimum(a, b)) }
}

multiversion! {
    /// The extrema of as many columns as y has values, from column `first` on, in rows of `width`.
    fn extrema_from<E: Element>(first: usize, x: &[E], width: usize, y: &mut [E], is_max: bool) {
        let columns = first..first + y.len();
        y.copy_from_slice(&x[columns.clone()]);
        for row in x.chunks_exact(width).skip(1) {
            let pairs = y.iter_mut().zip(&row[columns.clone()]);
            if is_max {
                pairs.for_each(|(y, &x)| *y = maximum(*y, x));
            } else {
                pairs.for_each(|(y, &x)| *y = minimum(*y, x));
            }
        }
    }
}

impl<E: Element> CpuKernel<ExtremumBackward> for Cpu<E> {
    fn run(&self, op: &ExtremumBackward, [dy, x, y]: [&Buffer<E>; 3]) -> Result<[Buffer<E>; 1]> {
        let &ExtremumBackward { outer, len, inner } = op;
        let mut result = self.alloc(outer * len * inner)?;
        let dx = result.make_mut()?;
        let [dy, x, y] = [dy, x, y].map(Buffer::as_slice);
        let size = len * inner;
        let rows = rows_per_job(size);
        self.install(|| {
            dx.par_chunks_mut((rows * size).max(1)).enumerate().for_each(|(job, dx)| {
                // What no value has got yet.
                let mut rest = vec![E::zero(); inner];
                for (i, dx) in dx.chunks_exact_mut(size).enumerate() {
                    let row = job * rows + i;
                    rest.copy_from_slice(&dy[row * inner..][..inner]);
                    let y = &y[row * inner..][..inner];
                    give_to_first(&x[row * size..][..size], y, &mut rest, dx);
                }
            });
        });
        Ok([result])
    }
}

multiversion! {
    /// The rest to the first value of each column that equals y, after which there is no rest; 0 to the others.
    fn give_to_first<E: Element>(x: &[E], y: &[E], rest: &mut [E], dx: &mut [E]) {
        let inner = y.len();
        for (dx, x) in dx.chunks_exact_mut(inner).zip(x.chunks_exact(inner)) {
            for ((dx, rest), (&x, &y)) in dx.iter_mut().zip(&mut *rest).zip(x.iter().zip(y)) {
                let is_equal = x == y || (x.is_nan() && y.is_nan());
                *dx = if is_equal { *rest } else { E::zero() };
                *rest = if is_equal { E::zero() } else { *rest };
            }
        }
    }
}
