//! The backward of relu(x + b), for x and the bias b in one pass.

use super::Activation;
use super::activation::ActivationBackward;
use super::reduce::SumRows;
use crate::{Alloc, Backend, Handle, Kernel, Operation, Result, Tensor};

/// dx = dy where y > 0, else 0, and db, the sum of the rows of dx. Operands: dy, which becomes dx in place, and y. Output:
/// db, `[channels]`. Its parts are [`ActivationBackward`] and [`SumRows`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReluBiasBackward {
    /// Number of rows.
    pub rows: usize,
    /// Values of a row.
    pub channels: usize,
}

impl Operation for ReluBiasBackward {
    type In<'a, F: Handle, I: Handle> = (&'a mut F, [&'a F; 1]);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "relu + bias dx"
    }

    fn has_parts(&self) -> bool {
        true
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.weights(self.channels)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        (&mut *operands.0, operands.1)
    }
}

impl ReluBiasBackward {
    /// Runs the two parts one after the other.
    pub(crate) fn run_parts<B>(
        &self,
        device: &B,
        dy: &mut B::FloatBuffer,
        y: &B::FloatBuffer,
    ) -> Result<[B::FloatBuffer; 1]>
    where
        B: Kernel<ActivationBackward> + Kernel<SumRows>,
    {
        let &Self { rows, channels } = self;
        device.run(&ActivationBackward { f: Activation::Relu, len: rows * channels }, (&mut *dy, [y]))?;
        device.run(&SumRows { rows, channels }, [&*dy])
    }
}

impl<B: Backend> Tensor<B> {
    /// The gradients of relu(x + b) for x and for b `[c]`, which is added along the last axis; `self` is dy, `y` the output.
    /// The same as [`into_activation_dx`](Self::into_activation_dx), then [`sum_rows`](Self::sum_rows).
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless dy and y have the same shape, with a last axis of at least 1.
    pub fn into_relu_bias_dx(mut self, y: &Self) -> Result<(Self, Self)> {
        self.same_shape("ReLU backward", y)?;
        let device = self.device().clone();
        let c = self.last_axis()?;
        let op = ReluBiasBackward { rows: self.len() / c, channels: c };
        let [sums] = if device.is_fused(&op) {
            device.run(&op, (&mut self.data, [&y.data]))?
        } else {
            op.run_parts(&device, &mut self.data, &y.data)?
        };
        Ok((self, Self::from_parts(device, vec![c], sums)))
    }
}
