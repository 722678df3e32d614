//! Sums and maxima.

use crate::{Backend, Device, Error, Ints, Result, Tensor};

/// What a backend supplies. Sums are taken in an order that does not depend on the number of threads.
pub trait Kernels: Device {
    /// The sum of all values, as one value.
    fn sum(&self, len: usize, x: &Self::Floats) -> Result<Self::Floats>;
    /// The sum of `rows` rows: `[c]`.
    fn sum_rows(&self, rows: usize, c: usize, x: &Self::Floats) -> Result<Self::Floats>;
    /// The largest of each row and its place: of equals the first; NaN is larger than all.
    fn max_columns(&self, rows: usize, c: usize, x: &Self::Floats) -> Result<(Self::Floats, Self::Ints)>;
    /// Whether all values are finite: 1 or 0 as one value.
    fn all_finite(&self, len: usize, x: &Self::Floats) -> Result<Self::Ints>;
}

impl<B: Backend> Tensor<B> {
    /// The sum of all values: `[1]`.
    pub fn sum(&self) -> Result<Self> {
        let sum = self.device().sum(self.len(), &self.data)?;
        Ok(Self::from_parts(self.device().clone(), vec![1], sum))
    }

    /// The mean of all values: `[1]`.
    pub fn mean(&self) -> Result<Self> {
        self.sum()?.scale(1.0 / self.len().max(1) as f64)
    }

    /// The sum over all axes but the last: `[c]`. The gradient of a bias.
    pub fn sum_rows(&self) -> Result<Self> {
        let c = self.last_axis()?;
        let sums = self.device().sum_rows(self.len() / c, c, &self.data)?;
        Ok(Self::from_parts(self.device().clone(), vec![c], sums))
    }

    /// The sum over the first axis: `[a, b, c]` to `[b, c]`.
    pub fn sum_first(&self) -> Result<Self> {
        let shape = self.shape().get(1..).filter(|s| !s.is_empty());
        let shape = shape.ok_or_else(|| Error::shape("sum_first", "at least 2 axes", self.shape()))?.to_vec();
        let c: usize = shape.iter().product();
        let sums = self.device().sum_rows(self.shape()[0], c, &self.data)?;
        Ok(Self::from_parts(self.device().clone(), shape, sums))
    }

    /// The largest value along the last axis and its place.
    pub fn max_columns(&self) -> Result<(Self, Ints<B>)> {
        let c = self.last_axis()?;
        let rows = self.len() / c;
        let (values, places) = self.device().max_columns(rows, c, &self.data)?;
        let shape = self.shape()[..self.shape().len() - 1].to_vec();
        let device = self.device().clone();
        Ok((Self::from_parts(device.clone(), shape, values), Ints::from_parts(device, rows, places)))
    }

    /// Whether no value is NaN or infinite.
    pub fn all_finite(&self) -> Result<bool> {
        Ok(self.all_finite_flag()?.to_vec()?.first() == Some(&1))
    }

    /// As [`all_finite`](Self::all_finite): 1 or 0 that stays on the device.
    pub fn all_finite_flag(&self) -> Result<Ints<B>> {
        let flag = self.device().all_finite(self.len(), &self.data)?;
        Ok(Ints::from_parts(self.device().clone(), 1, flag))
    }

    pub(super) fn last_axis(&self) -> Result<usize> {
        let last = self.shape().last().copied().filter(|&c| c > 0);
        last.ok_or_else(|| Error::shape("reduce", "a last axis of at least 1", self.shape()))
    }
}
