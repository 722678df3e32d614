//! Batch normalisation.

use alexnet_tensor::ops::BatchStatistics;
use alexnet_tensor::{Cpu, Tensor};

use crate::compare::{activations, assert_near, exact, host, weights};
use crate::devices::{Tested, full_size};
use crate::support::values;

const EPSILON: f64 = 1e-3;

/// Rows and channels: for one block of threads and for many, channels that do and do not fill vectors, few rows of many
/// channels.
fn shapes() -> Vec<(usize, usize)> {
    let mut shapes = vec![
        (2, 1),
        (5, 3),
        (31, 5),
        (64, 6),
        (97, 7),
        (257, 96),
        (5000, 1),
        (3000, 8),
        (3, 1037),
        (2, 1100),
        (700, 65),
    ];
    if full_size() {
        shapes.extend([(2 * 55 * 55, 96), (2 * 27 * 27, 256)]);
    }
    shapes
}

struct Case {
    rows: usize,
    c: usize,
    x: Vec<f64>,
    dy: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
}

impl Case {
    fn new(rows: usize, c: usize) -> Self {
        // Values that are exact in every format, so that the statistics are of the same numbers.
        let make = |seed, len| values(seed, len).iter().map(|v| (v * 32.0).round() / 32.0).collect::<Vec<_>>();
        Self { rows, c, x: make(1, rows * c), dy: make(2, rows * c), gamma: make(3, c), beta: make(4, c) }
    }

    fn shape(&self) -> [usize; 2] {
        [self.rows, self.c]
    }

    fn exact_statistics(&self) -> BatchStatistics<Cpu<f64>> {
        exact(&self.shape(), &self.x).batch_statistics().expect("the CPU")
    }

    /// The exact statistics, rounded to single precision.
    fn statistics_on<B: Tested>(&self, device: &B) -> BatchStatistics<B> {
        let BatchStatistics { mean, variance } = self.exact_statistics();
        let [mean, variance] = [mean, variance].map(|t| weights(device, &[self.c], &t.to_vec().expect("values")));
        BatchStatistics { mean, variance }
    }

    fn largest(&self, of: &[f64]) -> Vec<f64> {
        (0..self.c).map(|k| of.iter().skip(k).step_by(self.c).fold(0.0, |a: f64, v| a.max(v.abs()))).collect()
    }

    fn deviations(&self) -> Vec<f64> {
        let variance = self.exact_statistics().variance.to_vec().expect("values");
        variance.into_iter().map(|v| (v + EPSILON).sqrt()).collect()
    }
}

fn list<B: Tested>(t: &Tensor<B>) -> Vec<f32> {
    t.to_vec().expect("a download")
}

pub fn statistics<B: Tested>(device: &B) {
    for (rows, c) in shapes() {
        let case = Case::new(rows, c);
        let got = activations(device, &case.shape(), &case.x).batch_statistics().expect("a launch");
        let expected = case.exact_statistics();
        let largest = case.largest(&case.x);
        // Statistics are in single precision on every device.
        assert_near(&host(&got.mean), &expected.mean.to_vec().expect("values"), |k| largest[k], 1e-6);
        let square = |k: usize| largest[k] * largest[k];
        assert_near(&host(&got.variance), &expected.variance.to_vec().expect("values"), square, 2e-6);
    }
}

/// A mean of a thousand times the deviation costs only three digits in single precision.
pub fn a_large_mean_keeps_the_variance<B: Tested>(device: &B) {
    for (rows, c, first) in [(10_000, 3, 0.0), (10_000, 8, 50.0)] {
        let mut x: Vec<f64> = values(1, rows * c).iter().map(|v| f64::from(*v as f32 + 1000.0)).collect();
        // The first row may be far from all others.
        x[..c].iter_mut().for_each(|x| *x += first);
        let got = weights(device, &[rows, c], &x).batch_statistics().expect("a launch");
        let expected = exact(&[rows, c], &x).batch_statistics().expect("the CPU");
        let [mean, variance] = [&expected.mean, &expected.variance].map(|t| t.to_vec().expect("values"));
        assert_near(&host(&got.mean), &mean, |k| mean[k], 1e-6);
        assert_near(&host(&got.variance), &variance, |k| variance[k], 1e-5);
    }
}

pub fn forward<B: Tested>(device: &B) {
    for (rows, c) in shapes() {
        let case = Case::new(rows, c);
        let [gamma, beta] = [&case.gamma, &case.beta].map(|v| weights(device, &[c], v));
        let x = activations(device, &case.shape(), &case.x);
        let y = x.batch_norm(&case.statistics_on(device), &gamma, &beta, EPSILON).expect("a launch");
        let [gamma, beta] = [&case.gamma, &case.beta].map(|v| exact(&[c], v));
        let x = exact(&case.shape(), &case.x);
        let expected = x.batch_norm(&case.exact_statistics(), &gamma, &beta, EPSILON).expect("the CPU");
        let largest = case.largest(&case.x);
        let deviations = case.deviations();
        let scale = |k: usize| case.gamma[k].abs() * largest[k] / deviations[k] + case.beta[k].abs();
        assert_near(&host(&y), &expected.to_vec().expect("values"), |i| scale(i % c), 2.0 * device.value_tolerance());
    }
}

pub fn backward<B: Tested>(device: &B) {
    for (rows, c) in shapes() {
        let case = Case::new(rows, c);
        let [x, dy] = [&case.x, &case.dy].map(|v| activations(device, &case.shape(), v));
        let statistics = case.statistics_on(device);
        let got =
            dy.batch_norm_backward(&x, &statistics, &weights(device, &[c], &case.gamma), EPSILON).expect("a launch");
        let [x, dy] = [&case.x, &case.dy].map(|v| exact(&case.shape(), v));
        let statistics = case.exact_statistics();
        let expected = dy.batch_norm_backward(&x, &statistics, &exact(&[c], &case.gamma), EPSILON).expect("the CPU");
        let [dx, dgamma, dbeta] = [&expected.0, &expected.1, &expected.2].map(|t| t.to_vec().expect("values"));

        let x = case.largest(&case.x);
        let dy = case.largest(&case.dy);
        let deviations = case.deviations();
        let normal = |k: usize| x[k] / deviations[k];
        let dx_scale = |k: usize| case.gamma[k].abs() * dy[k] / deviations[k] * (1.0 + normal(k) * normal(k));
        assert_near(&host(&got.0), &dx, |i| dx_scale(i % c), 3.0 * device.value_tolerance());
        assert_near(&host(&got.1), &dgamma, |k| rows as f64 * dy[k] * normal(k), 1e-6);
        assert_near(&host(&got.2), &dbeta, |k| rows as f64 * dy[k], 1e-6);
    }
}

pub fn same_bits<B: Tested>(device: &B) {
    for (rows, c) in [(3000, 33), (5, 1100)] {
        let case = Case::new(rows, c);
        let run = || {
            let x = activations(device, &case.shape(), &case.x);
            let statistics = x.batch_statistics().expect("a launch");
            let gamma = weights(device, &[c], &case.gamma);
            let dy = activations(device, &case.shape(), &case.dy);
            let (dx, dgamma, dbeta) = dy.batch_norm_backward(&x, &statistics, &gamma, EPSILON).expect("a launch");
            [&statistics.mean, &statistics.variance, &dx, &dgamma, &dbeta].map(list)
        };
        assert_eq!(run(), run());
    }
}
