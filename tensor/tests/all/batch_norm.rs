//! Batch normalisation against plain loops and finite differences.

use alexnet_tensor::ops::BatchStatistics;
use alexnet_tensor::{Cpu, Element};
use proptest::prelude::*;

use crate::support::*;

const EPSILON: f64 = 1e-3;

struct Case {
    rows: usize,
    c: usize,
    x: Vec<f64>,
    dy: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
}

impl Case {
    fn new(rows: usize, c: usize, seed: u64) -> Self {
        let make = |i, len| values(seed.wrapping_add(i), len);
        let x = make(1, rows * c);
        let dy = make(2, rows * c);
        Self { rows, c, x, dy, gamma: make(3, c), beta: make(4, c) }
    }

    /// Mean, variance, y, dx, dgamma, dbeta.
    fn run<E: Element>(&self, cpu: &Cpu<E>) -> [Vec<f64>; 6] {
        let rows = |v: &[f64]| tensor_on(cpu, &[self.rows, self.c], v);
        let channels = |v: &[f64]| tensor_on(cpu, &[self.c], v);
        let x = rows(&self.x);
        let gamma = channels(&self.gamma);
        let statistics = x.batch_statistics().unwrap();
        let y = x.batch_norm(&statistics, &gamma, &channels(&self.beta), EPSILON).unwrap();
        let (dx, dgamma, dbeta) = rows(&self.dy).batch_norm_backward(&x, &statistics, &gamma, EPSILON).unwrap();
        [&statistics.mean, &statistics.variance, &y, &dx, &dgamma, &dbeta].map(host)
    }

    /// The same by plain loops, with dx through the derivatives of mean and variance.
    fn reference(&self) -> [Vec<f64>; 6] {
        let rows = self.rows;
        let c = self.c;
        let mut results = [c, c, rows * c, rows * c, c, c].map(|len| vec![0.0; len]);
        let [means, variances, y, dx, dgamma, dbeta] = &mut results;
        for k in 0..c {
            let at = |i: usize| i * c + k;
            let count = rows as f64;
            let mean = (0..rows).map(|i| self.x[at(i)]).sum::<f64>() / count;
            let variance = (0..rows).map(|i| (self.x[at(i)] - mean).powi(2)).sum::<f64>() / count;
            let deviation = (variance + EPSILON).sqrt();
            let mut dmean = 0.0;
            let mut dvariance = 0.0;
            for i in 0..rows {
                let dy = self.dy[at(i)];
                let left = self.x[at(i)] - mean;
                y[at(i)] = self.gamma[k] * left / deviation + self.beta[k];
                dgamma[k] += dy * left / deviation;
                dbeta[k] += dy;
                dmean -= dy * self.gamma[k] / deviation;
                dvariance -= 0.5 * dy * self.gamma[k] * left / deviation.powi(3);
            }
            for i in 0..rows {
                let left = self.x[at(i)] - mean;
                dx[at(i)] = self.dy[at(i)] * self.gamma[k] / deviation + (dmean + dvariance * 2.0 * left) / count;
            }
            (means[k], variances[k]) = (mean, variance);
        }
        results
    }

    /// Fails if an f32 result differs from the exact one by more than 1e-5 of the sum of its terms' absolute values,
    /// which may cancel.
    fn assert_rounded(&self, got: &[Vec<f64>; 6], exact: &[Vec<f64>; 6]) {
        let rows = self.rows;
        let c = self.c;
        for k in 0..c {
            let largest = |v: &[f64]| (0..rows).map(|i| v[i * c + k].abs()).fold(0.0, f64::max);
            let deviation = (exact[1][k] + EPSILON).sqrt();
            let x = largest(&self.x);
            let dy = largest(&self.dy);
            let gamma = self.gamma[k].abs();
            let normed = x / deviation;
            let sum = rows as f64 * dy;
            let y = gamma * normed + self.beta[k].abs();
            let scales = [x, x * x, y, gamma * dy / deviation * (1.0 + normed * normed), sum * normed, sum];
            for ((got, exact), scale) in got.iter().zip(exact).zip(scales) {
                for (g, e) in got.iter().zip(exact).skip(k).step_by(c) {
                    assert!((g - e).abs() <= 1e-5 * scale, "channel {k}: got {g:e}, exact {e:e}, scale {scale:e}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn equals_plain_loops(rows in 2usize..200, c in 1usize..40, seed: u64) {
        let case = Case::new(rows, c, seed);
        let expected = case.reference();
        for (got, expected) in case.run(cpu64()).iter().zip(&expected) {
            assert_close(got, expected, 1e-11);
        }
        case.assert_rounded(&case.run(cpu32()), &expected);
    }

    /// Two nearly equal rows: the deviation is near 0, and gradients cancel.
    #[test]
    fn rows_of_little_deviation_equal_plain_loops(c in 1usize..4, seed: u64, apart in 0.0f32..1e-2) {
        let mut case = Case::new(2, c, seed);
        for k in 0..c {
            case.x[c + k] = f64::from(case.x[k] as f32 + apart);
        }
        case.assert_rounded(&case.run(cpu32()), &case.reference());
    }

    #[test]
    fn gradients_equal_differences(rows in 3usize..20, c in 1usize..6, seed: u64) {
        let case = Case::new(rows, c, seed);
        let [_, _, _, dx, dgamma, dbeta] = case.run(cpu64());
        let forward = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            let x = tensor64(&[rows, c], x);
            let statistics = x.batch_statistics().unwrap();
            host(&x.batch_norm(&statistics, &tensor64(&[c], gamma), &tensor64(&[c], beta), EPSILON).unwrap())
        };
        let x = &case.x;
        let gamma = &case.gamma;
        let beta = &case.beta;
        let checks = [
            (dx, finite_differences(x, &case.dy, |x| forward(x, gamma, beta))),
            (dgamma, finite_differences(gamma, &case.dy, |gamma| forward(x, gamma, beta))),
            (dbeta, finite_differences(beta, &case.dy, |beta| forward(x, gamma, beta))),
        ];
        for (gradient, differences) in checks {
            let error = relative_error(&gradient, &differences);
            prop_assert!(error < 1e-6, "relative error {error:e}");
        }
    }
}

/// A mean of a thousand times the deviation costs only three digits in single precision.
#[test]
fn a_large_mean_keeps_the_variance() {
    let rows = 10_000;
    let c = 3;
    let x: Vec<f64> = values(1, rows * c).iter().map(|v| f64::from(*v as f32 + 1000.0)).collect();
    let case = Case { rows, c, dy: x.clone(), x, gamma: vec![1.0; c], beta: vec![0.0; c] };
    let [mean, variance, ..] = case.run(cpu32());
    let [expected_mean, expected, ..] = case.reference();
    assert!(relative_error(&mean, &expected_mean) < 1e-6);
    assert!(relative_error(&variance, &expected) < 1e-5);
}

#[test]
fn wide_and_long_inputs_equal_plain_loops() {
    for (rows, c) in [(3, 2500), (5000, 1), (700, 65)] {
        let case = Case::new(rows, c, 8);
        for (got, expected) in case.run(cpu32()).iter().zip(&case.reference()) {
            assert!(relative_error(got, expected) < 5e-5);
        }
    }
}

/// Given statistics are used unchanged, as at test time. Images are rows of channels.
#[test]
fn given_statistics_are_used() {
    let channels = |v: [f64; 2]| tensor64(&[2], &v);
    let statistics = BatchStatistics { mean: channels([1.0, -1.0]), variance: channels([4.0, 0.25]) };
    let x = tensor64(&[1, 1, 2, 2], &[3.0, 0.0, 1.0, -1.0]);
    let y = x.batch_norm(&statistics, &channels([1.0, 2.0]), &channels([0.5, 0.0]), 0.0).unwrap();
    assert_eq!(host(&y), [1.5, 4.0, 0.5, 0.0]);
    let gamma = tensor64(&[3], &[1.0; 3]);
    assert_shape_error(x.batch_norm(&statistics, &gamma, &channels([0.5, 0.0]), 0.0), "batch norm");
}

#[test]
fn one_row_has_no_statistics() {
    assert_argument_error(tensor64(&[1, 2], &[1.0, 2.0]).batch_statistics(), "use a larger batch");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let shapes = [(3000, 33), (40, 3000)];
        let cases = shapes.map(|(rows, c)| Case::new(rows, c, 2).run(cpu));
        // Back to the device's precision, which these came from.
        cases.into_iter().flatten().map(|v| v.into_iter().map(E::of).collect()).collect()
    }
    assert_same_bits(work, work);
}
