//! 2-D convolution (cross-correlation, as in every framework) with groups.

use super::{Padding, RoundMode, window::output_length};
use crate::tensor::element_count;
use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// Settings of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Steps between windows: rows, columns.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// The number of groups: output channels of a group are computed from the input channels of that group only (paper,
    /// Fig. 2).
    pub groups: usize,
}

impl Default for Conv2d {
    fn default() -> Self {
        Self { stride: [1, 1], padding: Padding::default(), groups: 1 }
    }
}

/// The sizes of a convolution, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Geometry {
    /// Number of images.
    pub n: usize,
    /// Input height, width and channels.
    pub input: [usize; 3],
    /// Output height, width and channels.
    pub output: [usize; 3],
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Steps between windows: rows, columns.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// Number of groups.
    pub groups: usize,
}

impl Geometry {
    /// Values of one kernel: height * width * input channels of a group.
    pub fn patch(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.input[2] / self.groups
    }
}

impl Conv2d {
    /// Checks an input `[n, h, w, c]` against weights `[out, kh, kw, c / groups]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the two do not fit, [`Error::Argument`] for settings out of range.
    pub fn geometry(&self, x: &[usize], w: &[usize]) -> Result<Geometry> {
        const OP: &str = "conv2d";
        let [n, height, width, c]: [usize; 4] = x.try_into().map_err(|_| Error::shape(OP, "an NHWC input", x))?;
        let [out, kh, kw, group_channels]: [usize; 4] =
            w.try_into().map_err(|_| Error::shape(OP, "weights [out, kh, kw, in / groups]", w))?;
        if self.groups == 0 || c % self.groups != 0 || out % self.groups != 0 {
            let what = format!("groups must divide {c} input and {out} output channels, got {}", self.groups);
            return Err(Error::argument(OP, what));
        }
        if group_channels != c / self.groups {
            return Err(Error::shape(OP, format!("weights for {} channels a group", c / self.groups), w));
        }
        let pad = self.padding;
        let oh = output_length(OP, height, [pad.top, pad.bottom], kh, self.stride[0], RoundMode::Floor)?;
        let ow = output_length(OP, width, [pad.left, pad.right], kw, self.stride[1], RoundMode::Floor)?;
        element_count(OP, &[n, oh, ow, out])?;
        Ok(Geometry {
            n,
            input: [height, width, c],
            output: [oh, ow, out],
            kernel: [kh, kw],
            stride: self.stride,
            padding: pad,
            groups: self.groups,
        })
    }
}

impl Geometry {
    /// Number of values in the input.
    pub fn input_len(&self) -> usize {
        self.n * self.input.iter().product::<usize>()
    }

    /// Number of values in the output.
    pub fn output_len(&self) -> usize {
        self.n * self.output.iter().product::<usize>()
    }

    /// Multiplications and additions of the forward, and of each of the two gradients: one of each for every weight and
    /// position that it is applied to.
    pub fn flops(&self) -> f64 {
        2.0 * self.patch() as f64 * self.output_len() as f64
    }
}

/// `y[n, oh, ow, o] = b[o] + sum over kh, kw, c of x * w`, then a ReLU if `relu`. Operands: x, w and an optional b.
/// Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2dForward {
    /// The sizes.
    pub geometry: Geometry,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Operation for Conv2dForward {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 2], Option<&'a F>);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "conv2d"
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

/// The gradient of a convolution's input. Operands: w, dy. Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2dInputGrad {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for Conv2dInputGrad {
    type In<'a, F: Handle, I: Handle> = [&'a F; 2];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "conv2d dx"
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

/// The gradient of a convolution's weights. Operands: x, dy. Output: dw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2dWeightGrad {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for Conv2dWeightGrad {
    type In<'a, F: Handle, I: Handle> = [&'a F; 2];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "conv2d dw"
    }

    fn flops(&self) -> f64 {
        self.geometry.flops()
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.weights(self.geometry.output[2] * self.geometry.patch())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// Convolves `[n, h, w, c]` with weights `[out, kh, kw, c / groups]`, adds a bias `[out]` and applies a ReLU if `relu`:
    /// `[n, oh, ow, out]`.
    ///
    /// ```
    /// use alexnet_tensor::ops::{Conv2d, Padding};
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let x = Tensor::full(&cpu, &[8, 32, 32, 3], 0.5)?;
    /// let w = Tensor::full(&cpu, &[16, 5, 5, 3], 0.1)?;
    /// let spec = Conv2d { stride: [2, 2], padding: Padding::all(2), ..Conv2d::default() };
    /// let y = x.conv2d(&spec, &w, None, true)?;
    /// assert_eq!(y.shape(), [8, 16, 16, 16]);
    ///
    /// let dy = Tensor::full(&cpu, y.shape(), 1.0)?;
    /// assert_eq!(dy.conv2d_dx(&spec, x.shape(), &w)?.shape(), x.shape());
    /// assert_eq!(dy.conv2d_dw(&spec, &x, w.shape())?.shape(), w.shape());
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Conv2d::geometry`]; [`Error::Shape`] for a bias of another length.
    pub fn conv2d(&self, spec: &Conv2d, w: &Self, b: Option<&Self>, relu: bool) -> Result<Self> {
        let g = spec.geometry(self.shape(), w.shape())?;
        if let Some(b) = b.filter(|b| b.shape() != [g.output[2]]) {
            return Err(Error::shape("conv2d", format!("a bias [{}]", g.output[2]), b.shape()));
        }
        let op = Conv2dForward { geometry: g, relu };
        let [y] = self.device().run(&op, ([&self.data, &w.data], b.map(|b| &b.data)))?;
        let [oh, ow, out] = g.output;
        Ok(Self::from_parts(self.device().clone(), vec![g.n, oh, ow, out], y))
    }

    /// The gradient of [`conv2d`](Self::conv2d) for its input of shape `x_shape`. `self` is the gradient of the
    /// convolution's output before the fused ReLU, if there is one.
    pub fn conv2d_dx(&self, spec: &Conv2d, x_shape: &[usize], w: &Self) -> Result<Self> {
        let g = spec.geometry(x_shape, w.shape())?;
        self.check_output(&g)?;
        let [dx] = self.device().run(&Conv2dInputGrad { geometry: g }, [&w.data, &self.data])?;
        Ok(Self::from_parts(self.device().clone(), x_shape.to_vec(), dx))
    }

    /// The gradient of [`conv2d`](Self::conv2d) for its weights of shape `w_shape`. The gradient of the bias is
    /// [`sum_rows`](Self::sum_rows) of `self`.
    pub fn conv2d_dw(&self, spec: &Conv2d, x: &Self, w_shape: &[usize]) -> Result<Self> {
        let g = spec.geometry(x.shape(), w_shape)?;
        self.check_output(&g)?;
        let [dw] = self.device().run(&Conv2dWeightGrad { geometry: g }, [&x.data, &self.data])?;
        Ok(Self::from_parts(self.device().clone(), w_shape.to_vec(), dw))
    }

    fn check_output(&self, g: &Geometry) -> Result<()> {
        let [oh, ow, out] = g.output;
        if self.shape() == [g.n, oh, ow, out] {
            return Ok(());
        }
        Err(Error::shape("conv2d backward", format!("a gradient {:?}", [g.n, oh, ow, out]), self.shape()))
    }
}
