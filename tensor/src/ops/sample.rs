//! Tensors of random values.

use crate::random::Stream;
use crate::tensor::element_count;
use crate::{Alloc, Backend, Handle, Operation, Result, Tensor};

/// Value i is mean + deviation * `stream.normal(i)`. Output: the values.
#[derive(Clone, Copy, Debug)]
pub struct SampleNormal {
    /// Number of values.
    pub len: usize,
    /// The distribution's mean.
    pub mean: f64,
    /// The distribution's standard deviation.
    pub deviation: f64,
    /// The random numbers.
    pub stream: Stream,
}

impl Operation for SampleNormal {
    type In<'a, F: Handle, I: Handle> = [&'a F; 0];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "sample normal"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.weights(self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// Value i is low + (high - low) * `stream.uniform(i)`. Output: the values.
#[derive(Clone, Copy, Debug)]
pub struct SampleUniform {
    /// Number of values.
    pub len: usize,
    /// The lower end, included.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The random numbers.
    pub stream: Stream,
}

impl Operation for SampleUniform {
    type In<'a, F: Handle, I: Handle> = [&'a F; 0];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "sample uniform"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.weights(self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// A tensor of normally distributed values.
    ///
    /// ```
    /// use alexnet_tensor::random::{Stream, purpose};
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let w = Tensor::normal(&Cpu::<f32>::new(1)?, &[64, 3, 3, 16], 0.0, 0.01, Stream::new(42, purpose::INIT, 0))?;
    /// assert!(w.mean()?.scalar()?.abs() < 1e-3);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn normal(device: &B, shape: &[usize], mean: f64, deviation: f64, stream: Stream) -> Result<Self> {
        let op = SampleNormal { len: element_count("normal", shape)?, mean, deviation, stream };
        let [data] = device.run(&op, [])?;
        Ok(Self::from_parts(device.clone(), shape.to_vec(), data))
    }

    /// A tensor of values that are uniformly distributed in `[low, high)`, rounded to the element type.
    pub fn uniform(device: &B, shape: &[usize], low: f64, high: f64, stream: Stream) -> Result<Self> {
        let op = SampleUniform { len: element_count("uniform", shape)?, low, high, stream };
        let [data] = device.run(&op, [])?;
        Ok(Self::from_parts(device.clone(), shape.to_vec(), data))
    }
}
