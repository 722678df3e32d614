//! Batch normalisation over all axes but the last.

use tensor::ops::BatchStatistics;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

const X: usize = 0;
const GAMMA: usize = 1;
const BETA: usize = 2;

/// The input, on which the statistics depend too.
struct Saved<B: Backend> {
    x: Tensor<B>,
    gamma: Tensor<B>,
    statistics: BatchStatistics<B>,
    epsilon: f64,
}

/// Like [`Saved`], but the statistics are constants.
struct SavedGiven<B: Backend>(Saved<B>);

impl<B: Backend> Tape<B> {
    /// Normalises each channel (the last axis) by its mean and variance in `x`, then scales by `gamma` and shifts by
    /// `beta`, both `[c]`. Also returns the statistics (the variance divides by the count), for running averages.
    pub fn batch_norm(
        &mut self,
        x: &Var<B>,
        gamma: &Var<B>,
        beta: &Var<B>,
        epsilon: f64,
    ) -> Result<(Var<B>, BatchStatistics<B>)> {
        let statistics = x.value().batch_statistics()?;
        let y = x.value().batch_norm(&statistics, gamma.value(), beta.value(), epsilon)?;
        let saved = || Saved::new(x, gamma, &statistics, epsilon);
        Ok((self.record("batch_norm", &[x, gamma, beta], y, saved)?, statistics))
    }

    /// Like [`batch_norm`](Self::batch_norm), but with given statistics, as in test mode. They get no gradient.
    pub fn batch_norm_with(
        &mut self,
        x: &Var<B>,
        gamma: &Var<B>,
        beta: &Var<B>,
        statistics: &BatchStatistics<B>,
        epsilon: f64,
    ) -> Result<Var<B>> {
        let y = x.value().batch_norm(statistics, gamma.value(), beta.value(), epsilon)?;
        let saved = || SavedGiven(Saved::new(x, gamma, statistics, epsilon));
        self.record("batch_norm_with", &[x, gamma, beta], y, saved)
    }
}

impl<B: Backend> Saved<B> {
    fn new(x: &Var<B>, gamma: &Var<B>, statistics: &BatchStatistics<B>, epsilon: f64) -> Self {
        Self { x: x.value().clone(), gamma: gamma.value().clone(), statistics: statistics.clone(), epsilon }
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        // One kernel gives all three: dx needs the sums that are dgamma and dbeta.
        let (dx, dgamma, dbeta) = dy.batch_norm_backward(&self.x, &self.statistics, &self.gamma, self.epsilon)?;
        grads.add(X, || Ok(dx))?;
        grads.add(GAMMA, || Ok(dgamma))?;
        grads.add(BETA, || Ok(dbeta))
    }
}

impl<B: Backend> Backward<B> for SavedGiven<B> {
    /// dx = gamma dy / sqrt(variance + epsilon), itself a normalisation, with mean and shift 0; dgamma = sum of
    /// dy xhat; dbeta = sum of dy.
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let Saved { x, gamma, statistics, epsilon } = self.0;
        let zeros = Tensor::zeros(dy.device(), gamma.shape())?;
        grads.add(X, || {
            let centred = BatchStatistics { mean: zeros.clone(), variance: statistics.variance.clone() };
            dy.batch_norm(&centred, &gamma, &zeros, epsilon)
        })?;
        grads.add(GAMMA, || {
            let ones = Tensor::full(dy.device(), gamma.shape(), 1.0)?;
            dy.multiply(&x.batch_norm(&statistics, &ones, &zeros, epsilon)?)?.sum_rows()
        })?;
        grads.add(BETA, || dy.sum_rows())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ndarray::ArrayD;

    use super::*;
    use crate::gradient_check::Device;
    use crate::ops::testing::{check, normal};

    fn parameters(shape: &[usize], c: usize, seed: u64) -> [(&'static str, ArrayD<f64>); 3] {
        let vector = |i| normal(&[c], seed.wrapping_add(i));
        [("x", normal(shape, seed)), ("gamma", vector(1)), ("beta", vector(2))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn gradients(n in 3usize..6, side in 1usize..4, c in 1usize..5, rows: bool, seed: u64) {
            let shape = if rows { vec![n, c] } else { vec![n, side, side, c] };
            check(&parameters(&shape, c, seed), |tape, p| Ok(tape.batch_norm(&p[0], &p[1], &p[2], 1e-2)?.0))?;
        }

        #[test]
        fn gradients_with_given_statistics(n in 1usize..4, side in 1usize..4, c in 1usize..5, seed: u64) {
            let device = Device::new(1).unwrap();
            let mean = Tensor::from_array(&device, normal(&[c], seed ^ 3)).unwrap();
            let variance = Tensor::from_array(&device, normal(&[c], seed ^ 4).mapv(|v| v * v)).unwrap();
            let statistics = BatchStatistics { mean, variance };
            check(&parameters(&[n, side, side, c], c, seed), |tape, p| {
                tape.batch_norm_with(&p[0], &p[1], &p[2], &statistics, 1e-2)
            })?;
        }
    }

    #[test]
    fn the_statistics_returned_are_those_of_x() {
        let device = Device::new(1).unwrap();
        let x = Tensor::from_slice(&device, &[4, 1], &[1.0, 3.0, 5.0, 7.0]).unwrap();
        let one = Var::constant(Tensor::full(&device, &[1], 1.0).unwrap());
        let (y, statistics) = Tape::new().batch_norm(&Var::constant(x), &one, &one, 0.0).unwrap();
        assert_eq!((statistics.mean.scalar().unwrap(), statistics.variance.scalar().unwrap()), (4.0, 5.0));
        assert!((y.value().mean().unwrap().scalar().unwrap() - 1.0).abs() < 1e-12);
    }
}
