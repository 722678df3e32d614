//! Dropout (paper, section 4.2).

use crate::random::Stream;
use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// The phase in which values are scaled, to keep the expected output the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropoutScale {
    /// At test, all values are multiplied by 1 - p (the paper).
    AtTest,
    /// In training, kept values are divided by 1 - p (inverted dropout, every framework since).
    InTraining,
}

/// Settings of dropout, which sets each value to zero with probability `p` in `[0, 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability of a zero.
    pub p: f64,
    /// The phase in which values are scaled.
    pub scale: DropoutScale,
}

/// The paper's probability, 0.5, with values scaled in training.
impl Default for Dropout {
    fn default() -> Self {
        Self { p: 0.5, scale: DropoutScale::InTraining }
    }
}

impl Dropout {
    /// The factor of kept values in training.
    pub fn training_factor(&self) -> f64 {
        match self.scale {
            DropoutScale::AtTest => 1.0,
            DropoutScale::InTraining => 1.0 / (1.0 - self.p),
        }
    }

    /// The factor of all values at test.
    pub fn test_factor(&self) -> f64 {
        match self.scale {
            DropoutScale::AtTest => 1.0 - self.p,
            DropoutScale::InTraining => 1.0,
        }
    }
}

/// `y_i = x_i * factor` where `stream.uniform(i) >= p`, else 0. It is its own backward, since the stream determines the
/// mask. Operand: x. Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutForward {
    /// Number of values.
    pub len: usize,
    /// The probability of a zero.
    pub p: f32,
    /// The factor of the values that are kept.
    pub factor: f64,
    /// The random numbers of the mask.
    pub stream: Stream,
}

impl DropoutForward {
    /// The dropout of `len` values.
    ///
    /// # Errors
    /// [`Error::Argument`] unless p is in `[0, 1)`.
    pub fn new(len: usize, spec: &Dropout, stream: Stream) -> Result<Self> {
        if !(0.0..1.0).contains(&spec.p) {
            return Err(Error::argument("dropout", format!("p must be in [0, 1), got {}", spec.p)));
        }
        Ok(Self { len, p: spec.p as f32, factor: spec.training_factor(), stream })
    }
}

impl Operation for DropoutForward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "dropout"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// Dropout in training. The gradient of the input is the same call on dy with the same stream; no mask is saved.
    ///
    /// ```
    /// use alexnet_tensor::ops::Dropout;
    /// use alexnet_tensor::random::{Stream, purpose};
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let x = Tensor::full(&Cpu::<f32>::new(1)?, &[1000], 1.0)?;
    /// let seed = 7;
    /// let step = 3;
    /// let y = x.dropout(&Dropout::default(), Stream::new(seed, purpose::DROPOUT, step))?;
    /// assert!(y.to_vec()?.iter().all(|&v| v == 0.0 || v == 2.0));
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] unless p is in `[0, 1)`.
    pub fn dropout(&self, spec: &Dropout, stream: Stream) -> Result<Self> {
        let op = DropoutForward::new(self.len(), spec, stream)?;
        let [y] = self.device().run(&op, [&self.data])?;
        Ok(self.with_data(y))
    }
}
