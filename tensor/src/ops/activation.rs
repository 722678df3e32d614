//! ReLU, tanh and the logistic function.

use crate::{Alloc, Backend, Handle, Operation, Result, Tensor};

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// max(0, x) (paper, section 3.1).
    Relu,
    /// tanh x.
    Tanh,
    /// 1 / (1 + e^-x).
    Logistic,
}

impl Activation {
    /// The function's name, as in network files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Logistic => "logistic",
        }
    }
}

/// y = f(x). Operand: x. Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActivationForward {
    /// The function.
    pub f: Activation,
    /// Number of values.
    pub len: usize,
}

impl Operation for ActivationForward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "activation"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let [x] = of;
        Ok([new.like(x, self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// dx = dy f'(x), where f' follows from y: 1 or 0 for ReLU, 1 - y^2 for tanh, y (1 - y) for the logistic function.
/// Operands: dy, which becomes dx in place, and y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActivationBackward {
    /// The function.
    pub f: Activation,
    /// Number of values.
    pub len: usize,
}

impl Operation for ActivationBackward {
    type In<'a, F: Handle, I: Handle> = (&'a mut F, [&'a F; 1]);
    type Out<F: Handle, I: Handle> = [F; 0];

    fn name(&self) -> &'static str {
        "activation dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, _: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        (&mut *operands.0, operands.1)
    }
}

impl<B: Backend> Tensor<B> {
    /// Applies `f` to each value. NaN stays NaN, also with ReLU.
    ///
    /// ```
    /// use alexnet_tensor::ops::Activation;
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let y = Tensor::from_slice(&cpu, &[3], &[-1.0, 0.0, 2.0])?.activation(Activation::Relu)?;
    /// assert_eq!(y.to_vec()?, [0.0, 0.0, 2.0]);
    /// let dx = Tensor::full(&cpu, &[3], 3.0)?.activation_dx(Activation::Relu, &y)?;
    /// assert_eq!(dx.to_vec()?, [0.0, 0.0, 3.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn activation(&self, f: Activation) -> Result<Self> {
        let [y] = self.device().run(&ActivationForward { f, len: self.len() }, [&self.data])?;
        Ok(self.with_data(y))
    }

    /// The gradient of [`activation`](Self::activation) for its input; `self` is dy, `y` the activation's output.
    pub fn activation_dx(&self, f: Activation, y: &Self) -> Result<Self> {
        self.clone().into_activation_dx(f, y)
    }

    /// Like [`activation_dx`](Self::activation_dx), but reuses the memory of dy where the device can and it is not shared.
    pub fn into_activation_dx(mut self, f: Activation, y: &Self) -> Result<Self> {
        self.same_shape("activation backward", y)?;
        let device = self.device().clone();
        let op = ActivationBackward { f, len: self.len() };
        device.run(&op, (&mut self.data, [&y.data]))?;
        Ok(self)
    }
}
