//! 2-D convolution (cross-correlation, as every framework has it) with groups.

use super::{Edge, Padding, window::output_length};
use crate::tensor::element_count;
use crate::{Backend, Device, Error, Result, Tensor};

/// How a convolution walks over its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Steps between windows: rows, columns.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// Input and output channels are split into this many parts that do not see each other (paper, Fig. 2).
    pub groups: usize,
    /// Whether the output is passed through a ReLU at once.
    pub relu: bool,
}

impl Default for Conv2d {
    fn default() -> Self {
        Self { stride: [1, 1], padding: Padding::default(), groups: 1, relu: false }
    }
}

/// All lengths of one convolution, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Images.
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
    /// Parts that do not see each other.
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
    /// [`Error::Shape`] where the two do not fit, [`Error::Argument`] for settings out of range.
    pub fn geometry(&self, x: &[usize], w: &[usize]) -> Result<Geometry> {
        const OP: &str = "conv2d";
        let [n, h, width, c]: [usize; 4] = x.try_into().map_err(|_| Error::shape(OP, "an NHWC input", x))?;
        let [out, kh, kw, cg]: [usize; 4] =
            w.try_into().map_err(|_| Error::shape(OP, "weights [out, kh, kw, in / groups]", w))?;
        if self.groups == 0 || c % self.groups != 0 || out % self.groups != 0 {
            let what = format!("groups must divide {c} input and {out} output channels, got {}", self.groups);
            return Err(Error::argument(OP, what));
        }
        if cg != c / self.groups {
            return Err(Error::shape(OP, format!("weights for {} channels a group", c / self.groups), w));
        }
        let p = self.padding;
        let oh = output_length(OP, h, [p.top, p.bottom], kh, self.stride[0], Edge::Floor)?;
        let ow = output_length(OP, width, [p.left, p.right], kw, self.stride[1], Edge::Floor)?;
        element_count(OP, &[n, oh, ow, out])?;
        Ok(Geometry {
            n,
            input: [h, width, c],
            output: [oh, ow, out],
            kernel: [kh, kw],
            stride: self.stride,
            padding: p,
            groups: self.groups,
        })
    }
}

/// What a convolution's products are summed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sums {
    /// The output.
    Y,
    /// The gradient of the input.
    Dx,
    /// The gradient of the weights.
    Dw,
}

impl Geometry {
    /// Multiplications and additions of any of the sums, as they are defined: one of each for each weight and each place that
    /// it is used at.
    pub fn flops(&self) -> f64 {
        2.0 * self.patch() as f64 * (self.n * self.output.iter().product::<usize>()) as f64
    }
}

/// What a backend supplies. Buffers have the sizes that the geometry says.
pub trait Kernels: Device {
    /// Multiplications and additions of products that it really does for a sum: fewer than [`Geometry::flops`] by a fast
    /// algorithm.
    fn conv2d_flops(&self, g: &Geometry, _sums: Sums) -> f64 {
        g.flops()
    }

    /// `y[n,oh,ow,o] = b[o] +` the sum over kh, kw, c of `x * w`; then ReLU if asked.
    fn conv2d(
        &self,
        g: &Geometry,
        x: &Self::Floats,
        w: &Self::Floats,
        b: Option<&Self::Floats>,
        relu: bool,
    ) -> Result<Self::Floats>;
    /// dx from dy.
    fn conv2d_dx(&self, g: &Geometry, w: &Self::Floats, dy: &Self::Floats) -> Result<Self::Floats>;
    /// dw from dy.
    fn conv2d_dw(&self, g: &Geometry, x: &Self::Floats, dy: &Self::Floats) -> Result<Self::Floats>;
}

impl<B: Backend> Tensor<B> {
    /// Convolves `[n, h, w, c]` with weights `[out, kh, kw, c / groups]` and adds a bias `[out]`: `[n, oh, ow, out]`.
    ///
    /// # Errors
    /// As [`Conv2d::geometry`]; [`Error::Shape`] for a bias of another length.
    pub fn conv2d(&self, spec: &Conv2d, w: &Self, b: Option<&Self>) -> Result<Self> {
        let g = spec.geometry(self.shape(), w.shape())?;
        if let Some(b) = b.filter(|b| b.shape() != [g.output[2]]) {
            return Err(Error::shape("conv2d", format!("a bias [{}]", g.output[2]), b.shape()));
        }
        let y = self.device().conv2d(&g, &self.data, &w.data, b.map(|b| &b.data), spec.relu)?;
        let [oh, ow, out] = g.output;
        Ok(Self::from_parts(self.device().clone(), vec![g.n, oh, ow, out], y))
    }

    /// The gradient of [`conv2d`](Self::conv2d) for its input, which had shape `x_shape`. `self` is the gradient
    /// after the fused ReLU, if any, has been undone.
    pub fn conv2d_dx(&self, spec: &Conv2d, x_shape: &[usize], w: &Self) -> Result<Self> {
        let g = spec.geometry(x_shape, w.shape())?;
        self.check_output(&g)?;
        let dx = self.device().conv2d_dx(&g, &w.data, &self.data)?;
        Ok(Self::from_parts(self.device().clone(), x_shape.to_vec(), dx))
    }

    /// The gradient of [`conv2d`](Self::conv2d) for its weights, which had shape `w_shape`. The bias gradient is
    /// [`sum_rows`](Self::sum_rows) of `self`.
    pub fn conv2d_dw(&self, spec: &Conv2d, x: &Self, w_shape: &[usize]) -> Result<Self> {
        let g = spec.geometry(x.shape(), w_shape)?;
        self.check_output(&g)?;
        let dw = self.device().conv2d_dw(&g, &x.data, &self.data)?;
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
