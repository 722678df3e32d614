//! Batch normalisation over rows of `c` channels.

use std::ops::Range;

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::reduce::{rows_per_job, sum_rows_by};
use crate::ops::batch_norm::{BatchMoments, BatchNormBackward, BatchNormForward};
use crate::ops::reduce::SumRows;
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<BatchMoments> for Cpu<E> {
    /// Takes two passes, the mean first and then the squared deviations from it: a large mean costs no digits.
    fn run(&self, op: &BatchMoments, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 2]> {
        let &BatchMoments { rows, channels: c } = op;
        let count = E::of(rows as f64);
        let [mut mean] = self.run(&SumRows { rows, channels: c }, [x])?;
        mean.make_mut()?.iter_mut().for_each(|m| *m = *m / count);
        let mut variance = self.alloc(c)?;
        let x = x.as_slice();
        let means = mean.as_slice();
        let add_squares = |row: usize, columns: Range<usize>, sums: &mut [E]| {
            let x = &x[row * c..][columns.clone()];
            for ((sum, &x), &mean) in sums.iter_mut().zip(x).zip(&means[columns]) {
                let deviation = x - mean;
                *sum += deviation * deviation;
            }
        };
        let out = variance.make_mut()?;
        self.install(|| sum_rows_by(rows, out, &add_squares));
        out.iter_mut().for_each(|v| *v = *v / count);
        Ok([mean, variance])
    }
}

impl<E: Element> CpuKernel<BatchNormForward> for Cpu<E> {
    fn run(&self, op: &BatchNormForward, operands: [&Buffer<E>; 5]) -> Result<[Buffer<E>; 1]> {
        let &BatchNormForward { rows, channels: c, epsilon } = op;
        let [x, mean, variance, gamma, beta] = operands;
        let mut result = self.alloc(rows * c)?;
        let mean = mean.as_slice();
        let beta = beta.as_slice();
        let inverse = inverse_deviation(variance.as_slice(), epsilon);
        let scale: Vec<E> = gamma.as_slice().iter().zip(&inverse).map(|(&g, &i)| g * i).collect();
        let job = rows_per_job(c) * c;
        let x = x.as_slice();
        let y = result.make_mut()?;
        self.install(|| {
            y.par_chunks_mut(job).zip(x.par_chunks(job)).for_each(|(y, x)| {
                for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                    let channels = mean.iter().zip(&scale).zip(beta);
                    for ((y, &x), ((&mean, &scale), &beta)) in y.iter_mut().zip(x).zip(channels) {
                        *y = (x - mean) * scale + beta;
                    }
                }
            });
        });
        Ok([result])
    }
}

impl<E: Element> CpuKernel<BatchNormBackward> for Cpu<E> {
    /// With xhat = (x - mean) / deviation: dbeta = sum dy, dgamma = sum dy xhat, and
    /// dx = gamma / deviation * (dy - dbeta / rows - xhat dgamma / rows).
    fn run(&self, op: &BatchNormBackward, operands: [&Buffer<E>; 5]) -> Result<[Buffer<E>; 3]> {
        let &BatchNormBackward { rows, channels: c, epsilon } = op;
        let [x, mean, variance, gamma, dy] = operands;
        let inverse = inverse_deviation(variance.as_slice(), epsilon);
        let [dbeta] = self.run(&SumRows { rows, channels: c }, [dy])?;
        let x = x.as_slice();
        let dy = dy.as_slice();
        let mean = mean.as_slice();
        let dgamma = self.gamma_gradient(rows, x, dy, mean, &inverse)?;

        // dx = a dy - b (x - mean) - d, where a, b and d have one value for each channel.
        let count = E::of(rows as f64);
        let a: Vec<E> = gamma.as_slice().iter().zip(&inverse).map(|(&g, &i)| g * i).collect();
        let b: Vec<E> = a.iter().zip(&inverse).zip(dgamma.as_slice()).map(|((&a, &i), &g)| a * i * g / count).collect();
        let d: Vec<E> = a.iter().zip(dbeta.as_slice()).map(|(&a, &s)| a * s / count).collect();
        let mut result = self.alloc(rows * c)?;
        let dx = result.make_mut()?;
        let job = rows_per_job(c) * c;
        self.install(|| {
            dx.par_chunks_mut(job).zip(x.par_chunks(job)).zip(dy.par_chunks(job)).for_each(|((dx, x), dy)| {
                for ((dx, x), dy) in dx.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(dy.chunks_exact(c)) {
                    let channels = a.iter().zip(&b).zip(&d).zip(mean);
                    let values = dx.iter_mut().zip(x).zip(dy);
                    for (((dx, &x), &dy), (((&a, &b), &d), &mean)) in values.zip(channels) {
                        *dx = a * dy - b * (x - mean) - d;
                    }
                }
            });
        });
        Ok([result, dgamma, dbeta])
    }
}

impl<E: Element> Cpu<E> {
    /// dgamma = sum dy (x - mean) `inverse`, with the inverse deviation.
    fn gamma_gradient(&self, rows: usize, x: &[E], dy: &[E], mean: &[E], inverse: &[E]) -> Result<Buffer<E>> {
        let c = mean.len();
        let mut dgamma = self.alloc(c)?;
        let out = dgamma.make_mut()?;
        let add = |row: usize, columns: Range<usize>, sums: &mut [E]| {
            let x = &x[row * c..][columns.clone()];
            let dy = &dy[row * c..][columns.clone()];
            for (((sum, &x), &dy), &mean) in sums.iter_mut().zip(x).zip(dy).zip(&mean[columns]) {
                *sum += dy * (x - mean);
            }
        };
        self.install(|| sum_rows_by(rows, out, &add));
        out.iter_mut().zip(inverse).for_each(|(sum, &inverse)| *sum *= inverse);
        Ok(dgamma)
    }
}

/// 1 / sqrt(variance + epsilon) of each channel.
fn inverse_deviation<E: Element>(variance: &[E], epsilon: f64) -> Vec<E> {
    variance.iter().map(|&v| (v + E::of(epsilon)).sqrt().recip()).collect()
}
