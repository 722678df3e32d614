//! Softmax and cross-entropy of rows of logits.

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::exponential::exponentials;
use super::reduce::{rows_per_job, sum_slice};
use super::simd::multiversion;
use crate::ops::cross_entropy::{CrossEntropyBackward, CrossEntropyForward, RankOfLabel, Softmax};
use crate::{Cpu, Element, Error, Result};

impl<E: Element> CpuKernel<Softmax> for Cpu<E> {
    fn run(&self, op: &Softmax, [logits]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let &Softmax { rows, classes: c } = op;
        let mut result = self.alloc(rows * c)?;
        let y = result.make_mut()?;
        let x = logits.as_slice();
        let job = (rows_per_job(c) * c).max(1);
        self.install(|| {
            y.par_chunks_mut(job).zip(x.par_chunks(job)).for_each(|(y, x)| {
                for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                    softmax_row(x, E::one(), y);
                }
            });
        });
        Ok([result])
    }
}

impl<E: Element> CpuKernel<CrossEntropyForward> for Cpu<E> {
    fn run(
        &self,
        op: &CrossEntropyForward,
        ([logits], [labels]): ([&Buffer<E>; 1], [&Buffer<u32>; 1]),
    ) -> Result<[Buffer<E>; 1]> {
        let &CrossEntropyForward { rows, classes: c } = op;
        let x = logits.as_slice();
        let labels = labels.as_slice();
        check_labels("cross-entropy", labels, c)?;
        let mut result = self.alloc(rows)?;
        let losses = result.make_mut()?;
        let job = rows_per_job(c);
        self.install(|| {
            let rows = losses.par_chunks_mut(job).zip(labels.par_chunks(job)).zip(x.par_chunks(job * c));
            rows.for_each(|((losses, labels), x)| {
                let mut powers = vec![E::zero(); c];
                for ((loss, &label), x) in losses.iter_mut().zip(labels).zip(x.chunks_exact(c)) {
                    let max = exponentials(x, &mut powers);
                    *loss = sum_slice(&powers).ln() + (max - x[label as usize]);
                }
            });
        });
        Ok([result])
    }
}

impl<E: Element> CpuKernel<CrossEntropyBackward> for Cpu<E> {
    fn run(
        &self,
        op: &CrossEntropyBackward,
        ([logits], [labels]): ([&Buffer<E>; 1], [&Buffer<u32>; 1]),
    ) -> Result<[Buffer<E>; 1]> {
        let &CrossEntropyBackward { rows, classes: c, factor } = op;
        let x = logits.as_slice();
        let labels = labels.as_slice();
        let factor = E::of(factor);
        check_labels("cross-entropy backward", labels, c)?;
        let mut result = self.alloc(rows * c)?;
        let dx = result.make_mut()?;
        let job = rows_per_job(c);
        self.install(|| {
            let rows = dx.par_chunks_mut(job * c).zip(labels.par_chunks(job)).zip(x.par_chunks(job * c));
            rows.for_each(|((dx, labels), x)| {
                for ((dx, &label), x) in dx.chunks_exact_mut(c).zip(labels).zip(x.chunks_exact(c)) {
                    softmax_row(x, factor, dx);
                    dx[label as usize] -= factor;
                }
            });
        });
        Ok([result])
    }
}

impl<E: Element> CpuKernel<RankOfLabel> for Cpu<E> {
    fn run(
        &self,
        op: &RankOfLabel,
        ([logits], [labels]): ([&Buffer<E>; 1], [&Buffer<u32>; 1]),
    ) -> Result<([Buffer<E>; 0], [Buffer<u32>; 1])> {
        let &RankOfLabel { rows, classes: c } = op;
        let x = logits.as_slice();
        let labels = labels.as_slice();
        check_labels("label rank", labels, c)?;
        let mut result = self.alloc_ints(rows)?;
        let ranks = result.make_mut()?;
        let job = rows_per_job(c);
        self.install(|| {
            let rows = ranks.par_chunks_mut(job).zip(labels.par_chunks(job)).zip(x.par_chunks(job * c));
            rows.for_each(|((ranks, labels), x)| {
                for ((rank, &label), x) in ranks.iter_mut().zip(labels).zip(x.chunks_exact(c)) {
                    *rank = rank_of(x, label as usize);
                }
            });
        });
        Ok(([], [result]))
    }
}

/// Fails if a label is not a class: labels are used as indices.
fn check_labels(op: &'static str, labels: &[u32], c: usize) -> Result<()> {
    match labels.iter().enumerate().find(|&(_, &label)| label as usize >= c) {
        Some((row, label)) => {
            let what = format!("labels must be below the {c} classes, got label {label} in row {row}");
            Err(Error::argument(op, what))
        }
        None => Ok(()),
    }
}

fn softmax_row<E: Element>(x: &[E], factor: E, y: &mut [E]) {
    exponentials(x, y);
    let sum = sum_slice(y);
    scale(y, sum, factor);
}

multiversion! {
    fn scale<E: Element>(y: &mut [E], sum: E, factor: E) {
        for y in y.iter_mut() {
            *y = *y / sum * factor;
        }
    }
}

/// The number of classes before `label`: those with a larger logit, or an equal one and a lower index. NaN is the
/// largest.
fn rank_of<E: Element>(x: &[E], label: usize) -> u32 {
    let own = x[label];
    let mut before = 0;
    for (class, &v) in x.iter().enumerate() {
        let equal = v == own || (v.is_nan() && own.is_nan());
        let above = v > own || (v.is_nan() && !own.is_nan());
        before += u32::from(above || (equal && class < label));
    }
    before
}
