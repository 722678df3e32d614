//! Dropout (paper, section 4.2).

use crate::random::Stream;
use crate::{Backend, Device, Error, Result, Tensor};

/// Where the scale goes that keeps the expected output the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropoutScale {
    /// Kept values are as they are in training; at test all are multiplied by 1 - p (the paper).
    AtTest,
    /// Kept values are divided by 1 - p in training; at test nothing is done (every framework since).
    InTraining,
}

/// Sets each value to zero with probability `p`, in `[0, 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of a zero.
    pub p: f64,
    /// Where the scale goes.
    pub scale: DropoutScale,
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

/// What a backend supplies.
pub trait Kernels: Device {
    /// y_i = x_i * factor where `stream.uniform(i) >= p`, else 0. Its own backward: the mask follows from the stream.
    fn dropout(&self, len: usize, x: &Self::Floats, p: f32, factor: f64, stream: Stream) -> Result<Self::Floats>;
}

impl<B: Backend> Tensor<B> {
    /// Dropout in training. The gradient of the input is the same call on dy with the same stream: no mask is kept.
    ///
    /// # Errors
    /// [`Error::Argument`] unless p is in `[0, 1)`.
    pub fn dropout(&self, spec: &Dropout, stream: Stream) -> Result<Self> {
        if !(0.0..1.0).contains(&spec.p) {
            return Err(Error::argument("dropout", format!("p must be in [0, 1), got {}", spec.p)));
        }
        let y = self.device().dropout(self.len(), &self.data, spec.p as f32, spec.training_factor(), stream)?;
        Ok(self.with_data(y))
    }
}
