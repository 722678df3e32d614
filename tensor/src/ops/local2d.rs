//! Locally connected layers: convolutions with separate kernels for each position (cuda-convnet's `local`).

use super::conv2d::{Conv2d, Geometry};
use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// `y[n, oh, ow, o] = b[oh, ow, o] + sum over kh, kw, c of x * w[oh, ow]`. Operands: x, w and an optional b. Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Local2dForward {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for Local2dForward {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 2], Option<&'a F>);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "local2d"
    }

    fn flops(&self) -> f64 {
        self.geometry.flops()
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.activations(self.geometry.output_len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The gradient of a locally connected layer's input. Operands: w, dy. Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Local2dInputGrad {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for Local2dInputGrad {
    type In<'a, F: Handle, I: Handle> = [&'a F; 2];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "local2d dx"
    }

    fn flops(&self) -> f64 {
        self.geometry.flops()
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.activations(self.geometry.input_len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The gradient of a locally connected layer's weights. Operands: x, dy. Output: dw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Local2dWeightGrad {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for Local2dWeightGrad {
    type In<'a, F: Handle, I: Handle> = [&'a F; 2];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "local2d dw"
    }

    fn flops(&self) -> f64 {
        self.geometry.flops()
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let outputs: usize = self.geometry.output.iter().product();
        Ok([new.weights(outputs * self.geometry.patch())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// Checks weights `[oh * ow, out, kh, kw, in / groups]` against an input.
///
/// # Errors
/// [`Error::Shape`] or [`Error::Argument`], as for a convolution.
pub fn geometry(spec: &Conv2d, x: &[usize], w: &[usize]) -> Result<Geometry> {
    let [positions, kernel @ ..] = w else {
        return Err(Error::shape("local2d", "weights [oh * ow, out, kh, kw, in / groups]", w));
    };
    let g = spec.geometry(x, kernel)?;
    if *positions != g.output[0] * g.output[1] {
        let expected = format!("weights for {} x {} positions", g.output[0], g.output[1]);
        return Err(Error::shape("local2d", expected, w));
    }
    Ok(g)
}

impl<B: Backend> Tensor<B> {
    /// Applies weights `[oh * ow, out, kh, kw, c / groups]` and a bias `[oh, ow, out]` to `[n, h, w, c]`.
    ///
    /// ```
    /// use alexnet_tensor::ops::Conv2d;
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let x = Tensor::full(&cpu, &[2, 4, 4, 3], 1.0)?;
    /// // A kernel of its own for each of 2 x 2 outputs.
    /// let w = Tensor::full(&cpu, &[2 * 2, 8, 3, 3, 3], 0.1)?;
    /// let y = x.local2d(&Conv2d::default(), &w, None)?;
    /// assert_eq!(y.shape(), [2, 2, 2, 8]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`geometry`]; [`Error::Shape`] for a bias of another shape.
    pub fn local2d(&self, spec: &Conv2d, w: &Self, b: Option<&Self>) -> Result<Self> {
        let g = geometry(spec, self.shape(), w.shape())?;
        if let Some(b) = b.filter(|b| b.shape() != g.output) {
            return Err(Error::shape("local2d", format!("a bias {:?}", g.output), b.shape()));
        }
        let operands = ([&self.data, &w.data], b.map(|b| &b.data));
        let [y] = self.device().run(&Local2dForward { geometry: g }, operands)?;
        let [oh, ow, out] = g.output;
        Ok(Self::from_parts(self.device().clone(), vec![g.n, oh, ow, out], y))
    }

    /// The gradient of [`local2d`](Self::local2d) for its input; `self` is the output's.
    pub fn local2d_dx(&self, spec: &Conv2d, x_shape: &[usize], w: &Self) -> Result<Self> {
        let g = geometry(spec, x_shape, w.shape())?;
        self.check_local_output(&g)?;
        let [dx] = self.device().run(&Local2dInputGrad { geometry: g }, [&w.data, &self.data])?;
        Ok(Self::from_parts(self.device().clone(), x_shape.to_vec(), dx))
    }

    /// The gradient of [`local2d`](Self::local2d) for its weights; `self` is the output's. The gradient of the bias is
    /// [`sum_first`](Self::sum_first) of `self`.
    pub fn local2d_dw(&self, spec: &Conv2d, x: &Self, w_shape: &[usize]) -> Result<Self> {
        let g = geometry(spec, x.shape(), w_shape)?;
        self.check_local_output(&g)?;
        let [dw] = self.device().run(&Local2dWeightGrad { geometry: g }, [&x.data, &self.data])?;
        Ok(Self::from_parts(self.device().clone(), w_shape.to_vec(), dw))
    }

    fn check_local_output(&self, g: &Geometry) -> Result<()> {
        let [oh, ow, out] = g.output;
        if self.shape() == [g.n, oh, ow, out] {
            return Ok(());
        }
        Err(Error::shape("local2d backward", format!("a gradient {:?}", [g.n, oh, ow, out]), self.shape()))
    }
}
