//! Batch normalisation over all axes but the last.

use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// The mean and variance of each channel.
#[derive(Clone, Debug)]
pub struct BatchStatistics<B: Backend> {
    /// `[c]`.
    pub mean: Tensor<B>,
    /// The biased variance, which divides by the count, not by count - 1: `[c]`.
    pub variance: Tensor<B>,
}

/// Mean and (biased) variance of each channel. Operand: x. Outputs: mean, variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchMoments {
    /// Number of rows.
    pub rows: usize,
    /// Values of a row.
    pub channels: usize,
}

impl Operation for BatchMoments {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 2];

    fn name(&self) -> &'static str {
        "batch statistics"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.weights(self.channels)?, new.weights(self.channels)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta. Operands: x, mean, variance, gamma, beta. Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormForward {
    /// Number of rows.
    pub rows: usize,
    /// Values of a row.
    pub channels: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Operation for BatchNormForward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 5];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "batch norm"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.rows * self.channels)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The gradients, where mean and variance are those of x. Operands: x, mean, variance, gamma, dy. Outputs: dx, dgamma,
/// dbeta.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormBackward {
    /// Number of rows.
    pub rows: usize,
    /// Values of a row.
    pub channels: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Operation for BatchNormBackward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 5];
    type Out<F: Handle, I: Handle> = [F; 3];

    fn name(&self) -> &'static str {
        "batch norm backward"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let [_, _, _, _, dy] = of;
        let dx = new.like(dy, self.rows * self.channels)?;
        Ok([dx, new.weights(self.channels)?, new.weights(self.channels)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    fn rows_and_channels(&self, op: &'static str) -> Result<(usize, usize)> {
        match self.shape().last() {
            Some(&c) if c > 0 && !self.is_empty() => Ok((self.len() / c, c)),
            _ => Err(Error::shape(op, "at least one row of at least one channel", self.shape())),
        }
    }

    /// The mean and variance of each channel (the last axis) over all other axes.
    ///
    /// # Errors
    /// [`Error::Argument`] for a single row, whose variance is 0.
    pub fn batch_statistics(&self) -> Result<BatchStatistics<B>> {
        let (rows, c) = self.rows_and_channels("batch norm")?;
        if rows < 2 {
            return Err(Error::argument(
                "batch norm",
                "training needs more than one value per channel; use a larger batch",
            ));
        }
        let [mean, variance] = self.device().run(&BatchMoments { rows, channels: c }, [&self.data])?;
        let tensor = |data| Self::from_parts(self.device().clone(), vec![c], data);
        Ok(BatchStatistics { mean: tensor(mean), variance: tensor(variance) })
    }

    /// Normalises each channel by `statistics`, then scales it by `gamma` and shifts it by `beta`, both `[c]`.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let x = Tensor::from_slice(&cpu, &[4, 1], &[1.0, 3.0, 1.0, 3.0])?;
    /// let statistics = x.batch_statistics()?;
    /// let gamma = Tensor::full(&cpu, &[1], 10.0)?;
    /// let beta = Tensor::zeros(&cpu, &[1])?;
    /// let y = x.batch_norm(&statistics, &gamma, &beta, 0.0)?;
    /// assert_eq!(y.to_vec()?, [-10.0, 10.0, -10.0, 10.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for an operand that is not `[c]`.
    pub fn batch_norm(&self, statistics: &BatchStatistics<B>, gamma: &Self, beta: &Self, epsilon: f64) -> Result<Self> {
        let (rows, c) = self.rows_and_channels("batch norm")?;
        check_channels(c, [&statistics.mean, &statistics.variance, gamma, beta])?;
        let op = BatchNormForward { rows, channels: c, epsilon };
        let BatchStatistics { mean, variance } = statistics;
        let operands = [&self.data, &mean.data, &variance.data, &gamma.data, &beta.data];
        let [y] = self.device().run(&op, operands)?;
        Ok(self.with_data(y))
    }

    /// The gradients dx, dgamma and dbeta of [`batch_norm`](Self::batch_norm), where `statistics` are those of `x`; `self`
    /// is dy.
    ///
    /// # Errors
    /// [`Error::Shape`] for operands whose shapes do not fit.
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
        let op = BatchNormBackward { rows, channels: c, epsilon };
        let BatchStatistics { mean, variance } = statistics;
        let operands = [&x.data, &mean.data, &variance.data, &gamma.data, &self.data];
        let [dx, dgamma, dbeta] = self.device().run(&op, operands)?;
        let tensor = |data| Self::from_parts(self.device().clone(), vec![c], data);
        Ok((self.with_data(dx), tensor(dgamma), tensor(dbeta)))
    }
}

fn check_channels<B: Backend>(c: usize, operands: [&Tensor<B>; 4]) -> Result<()> {
    match operands.iter().find(|t| t.shape() != [c]) {
        Some(t) => Err(Error::shape("batch norm", format!("[{c}], one value per channel"), t.shape())),
        None => Ok(()),
    }
}
