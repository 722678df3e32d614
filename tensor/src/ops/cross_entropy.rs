//! Softmax and cross-entropy, fused.

use crate::{Backend, Device, Error, Ints, Result, Tensor};

/// What a backend supplies: rows of `c` logits.
pub trait Kernels: Device {
    /// e^(x - max) / sum, by row.
    fn softmax(&self, rows: usize, c: usize, logits: &Self::Floats) -> Result<Self::Floats>;
    /// `log sum e^x - x[label]`, by row.
    fn cross_entropy(&self, rows: usize, c: usize, logits: &Self::Floats, labels: &Self::Ints) -> Result<Self::Floats>;
    /// (softmax - one-hot label) * factor.
    fn cross_entropy_dx(
        &self,
        rows: usize,
        c: usize,
        logits: &Self::Floats,
        labels: &Self::Ints,
        factor: f64,
    ) -> Result<Self::Floats>;
    /// By row, how many classes come before the label's in order of falling logits (of equals, the lower class
    /// first; NaN before all): 0 is a top-1 hit, below 5 a top-5 hit.
    fn label_rank(&self, rows: usize, c: usize, logits: &Self::Floats, labels: &Self::Ints) -> Result<Self::Ints>;
}

impl<B: Backend> Tensor<B> {
    /// Probabilities of each row of logits `[n, c]`.
    pub fn softmax(&self) -> Result<Self> {
        let [n, c] = self.dims2("softmax")?;
        Ok(self.with_data(self.device().softmax(n, c, &self.data)?))
    }

    /// The loss of each row of logits `[n, c]` against its label: `[n]`, in nats.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one label a row. Labels must be below c; a backend may not notice if not.
    pub fn cross_entropy(&self, labels: &Ints<B>) -> Result<Self> {
        let [n, c] = self.check_labels(labels)?;
        let losses = self.device().cross_entropy(n, c, &self.data, &labels.data)?;
        Ok(Self::from_parts(self.device().clone(), vec![n], losses))
    }

    /// The gradient for the logits of `factor` times the sum of [`cross_entropy`](Self::cross_entropy): with factor
    /// 1 / n that of the mean.
    pub fn cross_entropy_dx(&self, labels: &Ints<B>, factor: f64) -> Result<Self> {
        let [n, c] = self.check_labels(labels)?;
        Ok(self.with_data(self.device().cross_entropy_dx(n, c, &self.data, &labels.data, factor)?))
    }

    /// The place of each row's label in the order of falling logits, from 0.
    pub fn label_rank(&self, labels: &Ints<B>) -> Result<Ints<B>> {
        let [n, c] = self.check_labels(labels)?;
        let ranks = self.device().label_rank(n, c, &self.data, &labels.data)?;
        Ok(Ints::from_parts(self.device().clone(), n, ranks))
    }

    fn check_labels(&self, labels: &Ints<B>) -> Result<[usize; 2]> {
        let [n, c] = self.dims2("cross-entropy")?;
        if labels.len() != n || c == 0 {
            let expected = format!("one row of at least one logit for each of {} labels", labels.len());
            return Err(Error::shape("cross-entropy", expected, self.shape()));
        }
        Ok([n, c])
    }
}
