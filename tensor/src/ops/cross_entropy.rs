//! Softmax, cross-entropy and the rank of the label.

use crate::{Alloc, Backend, Error, Handle, IntTensor, Operation, Result, Tensor};

/// The softmax of each row: e^(x - max) / sum. Operand: logits. Output: probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    /// Number of rows.
    pub rows: usize,
    /// Logits of a row.
    pub classes: usize,
}

impl Operation for Softmax {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "softmax"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.rows * self.classes)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The cross-entropy of each row, `log sum e^x - x[label]`, in nats. Operands: logits, labels. Output: losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropyForward {
    /// Number of rows.
    pub rows: usize,
    /// Logits of a row.
    pub classes: usize,
}

impl Operation for CrossEntropyForward {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 1], [&'a I; 1]);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.weights(self.rows)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// (softmax - one-hot label) * factor. Operands: logits, labels. Output: the gradient of the logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropyBackward {
    /// Number of rows.
    pub rows: usize,
    /// Logits of a row.
    pub classes: usize,
    /// Multiplies the gradient.
    pub factor: f64,
}

impl Operation for CrossEntropyBackward {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 1], [&'a I; 1]);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "cross-entropy dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let ([logits], _) = of;
        Ok([new.like(logits, self.rows * self.classes)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The rank of each row's label: the number of classes before it in order of descending logits. Of equal logits, the lower
/// class is first; NaN is before all. Rank 0 is a top-1 hit, a rank below 5 a top-5 hit. Operands: logits, labels. Output:
/// ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankOfLabel {
    /// Number of rows.
    pub rows: usize,
    /// Logits of a row.
    pub classes: usize,
}

impl Operation for RankOfLabel {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 1], [&'a I; 1]);
    type Out<F: Handle, I: Handle> = ([F; 0], [I; 1]);

    fn name(&self) -> &'static str {
        "label rank"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok(([], [new.ints(self.rows)?]))
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// The probabilities of each row of logits `[n, c]`.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let x = Tensor::zeros(&Cpu::<f32>::new(1)?, &[1, 4])?;
    /// assert_eq!(x.softmax()?.to_vec()?, [0.25; 4]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are two axes.
    pub fn softmax(&self) -> Result<Self> {
        let [rows, classes] = self.dims2("softmax")?;
        let [y] = self.device().run(&Softmax { rows, classes }, [&self.data])?;
        Ok(self.with_data(y))
    }

    /// The loss of each row of logits `[n, c]` against its label: `[n]`, in nats.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, IntTensor, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let logits = Tensor::zeros(&cpu, &[2, 4])?;
    /// let labels = IntTensor::from_slice(&cpu, &[0, 3])?;
    /// let losses = logits.cross_entropy(&labels)?;
    /// assert!((losses.mean()?.scalar()? - 4f64.ln()).abs() < 1e-6);
    /// let dx = logits.cross_entropy_dx(&labels, 0.5)?;
    /// assert_eq!(dx.to_vec()?[..4], [-0.375, 0.125, 0.125, 0.125]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one label for each row. Labels must be below c, which not every backend checks.
    pub fn cross_entropy(&self, labels: &IntTensor<B>) -> Result<Self> {
        let [rows, classes] = self.check_labels(labels)?;
        let op = CrossEntropyForward { rows, classes };
        let [losses] = self.device().run(&op, ([&self.data], [&labels.data]))?;
        Ok(Self::from_parts(self.device().clone(), vec![rows], losses))
    }

    /// The gradient of `factor` times the sum of [`cross_entropy`](Self::cross_entropy) for the logits. With the factor
    /// 1 / n it is that of the mean.
    pub fn cross_entropy_dx(&self, labels: &IntTensor<B>, factor: f64) -> Result<Self> {
        let [rows, classes] = self.check_labels(labels)?;
        let op = CrossEntropyBackward { rows, classes, factor };
        let [dx] = self.device().run(&op, ([&self.data], [&labels.data]))?;
        Ok(self.with_data(dx))
    }

    /// The rank of each row's label in order of descending logits, from 0: see [`RankOfLabel`].
    pub fn rank_of_label(&self, labels: &IntTensor<B>) -> Result<IntTensor<B>> {
        let [rows, classes] = self.check_labels(labels)?;
        let (_, [ranks]) = self.device().run(&RankOfLabel { rows, classes }, ([&self.data], [&labels.data]))?;
        Ok(IntTensor::from_parts(self.device().clone(), rows, ranks))
    }

    fn check_labels(&self, labels: &IntTensor<B>) -> Result<[usize; 2]> {
        let [n, c] = self.dims2("cross-entropy")?;
        if labels.len() != n || c == 0 {
            let expected = format!("one row of at least one logit for each of {} labels", labels.len());
            return Err(Error::shape("cross-entropy", expected, self.shape()));
        }
        Ok([n, c])
    }
}
