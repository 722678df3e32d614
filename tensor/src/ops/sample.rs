//! Tensors of random values.

use crate::random::Stream;
use crate::tensor::element_count;
use crate::{Backend, Device, Result, Tensor};

/// What a backend supplies.
pub trait Kernels: Device {
    /// Value i is mean + deviation * `stream.normal(i)`.
    fn sample_normal(&self, len: usize, mean: f64, deviation: f64, stream: Stream) -> Result<Self::Floats>;
    /// Value i is low + (high - low) * `stream.uniform(i)`.
    fn sample_uniform(&self, len: usize, low: f64, high: f64, stream: Stream) -> Result<Self::Floats>;
}

impl<B: Backend> Tensor<B> {
    /// Values of the normal distribution.
    pub fn normal(device: &B, shape: &[usize], mean: f64, deviation: f64, stream: Stream) -> Result<Self> {
        let data = device.sample_normal(element_count("normal", shape)?, mean, deviation, stream)?;
        Ok(Self::from_parts(device.clone(), shape.to_vec(), data))
    }

    /// Values evenly distributed in `[low, high)`, rounded to the element type.
    pub fn uniform(device: &B, shape: &[usize], low: f64, high: f64, stream: Stream) -> Result<Self> {
        let data = device.sample_uniform(element_count("uniform", shape)?, low, high, stream)?;
        Ok(Self::from_parts(device.clone(), shape.to_vec(), data))
    }
}
