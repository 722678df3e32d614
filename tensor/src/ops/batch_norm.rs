//! Batch normalisation over all axes but the last.

use crate::{Backend, Device, Error, Result, Tensor};

/// Mean and variance by channel.
#[derive(Clone, Debug)]
pub struct BatchStatistics<B: Backend> {
    /// `[c]`.
    pub mean: Tensor<B>,
    /// The variance that divides by the count (not count - 1), `[c]`.
    pub variance: Tensor<B>,
}

/// What a backend supplies: rows of `c` channels.
pub trait Kernels: Device {
    /// Mean and (biased) variance of each channel.
    fn batch_statistics(&self, rows: usize, c: usize, x: &Self::Floats) -> Result<(Self::Floats, Self::Floats)>;
    /// y = gamma (x - mean) / sqrt(variance + epsilon) + beta.
    #[allow(clippy::too_many_arguments)]
    fn batch_norm(
        &self,
        rows: usize,
        c: usize,
        x: &Self::Floats,
        statistics: (&Self::Floats, &Self::Floats),
        gamma: &Self::Floats,
        beta: &Self::Floats,
        epsilon: f64,
    ) -> Result<Self::Floats>;
    /// (dx, dgamma, dbeta) where the statistics are those of x itself.
    #[allow(clippy::too_many_arguments)]
    fn batch_norm_backward(
        &self,
        rows: usize,
        c: usize,
        x: &Self::Floats,
        statistics: (&Self::Floats, &Self::Floats),
        gamma: &Self::Floats,
        dy: &Self::Floats,
        epsilon: f64,
    ) -> Result<(Self::Floats, Self::Floats, Self::Floats)>;
}

impl<B: Backend> Tensor<B> {
    fn rows_and_channels(&self, op: &'static str) -> Result<(usize, usize)> {
        match self.shape().last() {
            Some(&c) if c > 0 && !self.is_empty() => Ok((self.len() / c, c)),
            _ => Err(Error::shape(op, "at least one row of at least one channel", self.shape())),
        }
    }

    /// Statistics of each channel (the last axis) over all others.
    ///
    /// # Errors
    /// [`Error::Argument`] for a single row: its variance is zero and training on it pointless.
    pub fn batch_statistics(&self) -> Result<BatchStatistics<B>> {
        let (rows, c) = self.rows_and_channels("batch norm")?;
        if rows < 2 {
            return Err(Error::argument(
                "batch norm",
                "training needs more than one value a channel; use a larger batch",
            ));
        }
        let (mean, variance) = self.device().batch_statistics(rows, c, &self.data)?;
        let tensor = |data| Self::from_parts(self.device().clone(), vec![c], data);
        Ok(BatchStatistics { mean: tensor(mean), variance: tensor(variance) })
    }

    /// Normalises each channel by the given statistics, then scales by `gamma` and shifts by `beta`, both `[c]`.
    pub fn batch_norm(&self, statistics: &BatchStatistics<B>, gamma: &Self, beta: &Self, epsilon: f64) -> Result<Self> {
        let (rows, c) = self.rows_and_channels("batch norm")?;
        check_channels(c, [&statistics.mean, &statistics.variance, gamma, beta])?;
        let both = (&statistics.mean.data, &statistics.variance.data);
        let y = self.device().batch_norm(rows, c, &self.data, both, &gamma.data, &beta.data, epsilon)?;
        Ok(self.with_data(y))
    }

    /// Gradients (dx, dgamma, dbeta) of [`batch_norm`](Self::batch_norm) under `x`'s own statistics; `self` is dy.
    pub fn batch_norm_backward(
        &self,
        x: &Self,
        statistics: &BatchStatistics<B>,
        gamma: &Self,
        epsilon: f64,
    ) -> Result<(Self, Self, Self)> {
        let (rows, c) = self.rows_and_channels("batch norm backward")?;
        self.same_shape("batch norm backward", x)?;
        check_channels(c, [&statistics.mean, &statistics.variance, gamma, gamma])?;
        let both = (&statistics.mean.data, &statistics.variance.data);
        let (dx, dgamma, dbeta) =
            self.device().batch_norm_backward(rows, c, &x.data, both, &gamma.data, &self.data, epsilon)?;
        let tensor = |data| Self::from_parts(self.device().clone(), vec![c], data);
        Ok((self.with_data(dx), tensor(dgamma), tensor(dbeta)))
    }
}

fn check_channels<B: Backend>(c: usize, operands: [&Tensor<B>; 4]) -> Result<()> {
    match operands.iter().find(|t| t.shape() != [c]) {
        Some(t) => Err(Error::shape("batch norm", format!("[{c}], one value a channel"), t.shape())),
        None => Ok(()),
    }
}
