//! Max and average pooling; windows may overlap (paper, section 3.4).

use super::{Edge, Padding, window::output_length};
use crate::{Backend, Device, Error, Ints, Result, Tensor};

/// What becomes of a window's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// The largest; the first of equals in row order takes the gradient. NaN wins.
    Max,
    /// The mean of the values inside the image (authors' code, Keras).
    Average,
    /// The sum over the window's size, clipped to the padded image, padding counted as zeros (Caffe, PyTorch's default).
    AverageWithPadding,
}

/// How a pooling walks over its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// What becomes of a window.
    pub kind: PoolKind,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Steps between windows: rows, columns.
    pub stride: [usize; 2],
    /// Places around the image where windows may stand.
    pub padding: Padding,
    /// Where the last window may stand.
    pub edge: Edge,
}

/// All lengths of one pooling, checked. Each window holds at least one value of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Images.
    pub n: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output height and width.
    pub output: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// The settings.
    pub spec: Pool2d,
}

impl Pool2d {
    /// A pooling of square windows without padding.
    pub fn new(kind: PoolKind, kernel: usize, stride: usize) -> Self {
        let (kernel, stride) = ([kernel; 2], [stride; 2]);
        Self { kind, kernel, stride, padding: Padding::default(), edge: Edge::Floor }
    }

    /// Checks an input `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of axes; [`Error::Argument`] for settings out of range, among them padding
    /// that is not smaller than the kernel.
    pub fn geometry(&self, x: &[usize]) -> Result<Geometry> {
        const OP: &str = "pool";
        let [n, h, w, c]: [usize; 4] = x.try_into().map_err(|_| Error::shape(OP, "an NHWC input", x))?;
        let p = self.padding;
        if p.top.max(p.bottom) >= self.kernel[0].max(1) || p.left.max(p.right) >= self.kernel[1].max(1) {
            return Err(Error::argument(OP, format!("padding must be smaller than the kernel, got {p}")));
        }
        let oh = output_length(OP, h, [p.top, p.bottom], self.kernel[0], self.stride[0], self.edge)?;
        let ow = output_length(OP, w, [p.left, p.right], self.kernel[1], self.stride[1], self.edge)?;
        Ok(Geometry { n, input: [h, w], output: [oh, ow], channels: c, spec: *self })
    }
}

impl Geometry {
    /// `[n, h, w, c]` of the input.
    pub fn x_shape(&self) -> [usize; 4] {
        [self.n, self.input[0], self.input[1], self.channels]
    }

    /// `[n, oh, ow, c]` of the output.
    pub fn y_shape(&self) -> [usize; 4] {
        [self.n, self.output[0], self.output[1], self.channels]
    }

    /// Places before the image, along the rows' axis (0) or the columns' (1).
    pub(crate) fn before(&self, axis: usize) -> usize {
        [self.spec.padding.top, self.spec.padding.left][axis]
    }

    /// Places after the image.
    pub(crate) fn after(&self, axis: usize) -> usize {
        [self.spec.padding.bottom, self.spec.padding.right][axis]
    }
}

/// What a backend supplies.
pub trait Kernels: Device {
    /// The maxima and, for each, its flat position in its image's `[h, w]`.
    fn max_pool(&self, g: &Geometry, x: &Self::Floats) -> Result<(Self::Floats, Self::Ints)>;
    /// Each gradient added to the position its maximum came from.
    fn max_pool_dx(&self, g: &Geometry, positions: &Self::Ints, dy: &Self::Floats) -> Result<Self::Floats>;
    /// The means.
    fn average_pool(&self, g: &Geometry, x: &Self::Floats) -> Result<Self::Floats>;
    /// Each gradient shared out over its window.
    fn average_pool_dx(&self, g: &Geometry, dy: &Self::Floats) -> Result<Self::Floats>;
}

impl<B: Backend> Tensor<B> {
    /// Pools `[n, h, w, c]` to `[n, oh, ow, c]`; for max-pooling, also the positions that
    /// [`pool_dx`](Self::pool_dx) needs.
    ///
    /// # Errors
    /// As [`Pool2d::geometry`].
    pub fn pool(&self, spec: &Pool2d) -> Result<(Self, Option<Ints<B>>)> {
        let g = spec.geometry(self.shape())?;
        let shape = g.y_shape().to_vec();
        let device = self.device().clone();
        if spec.kind == PoolKind::Max {
            let (y, positions) = device.max_pool(&g, &self.data)?;
            let len = shape.iter().product();
            return Ok((Self::from_parts(device.clone(), shape, y), Some(Ints::from_parts(device, len, positions))));
        }
        let y = device.average_pool(&g, &self.data)?;
        Ok((Self::from_parts(device, shape, y), None))
    }

    /// The gradient of [`pool`](Self::pool) for its input of `x_shape`; `self` is dy.
    ///
    /// # Errors
    /// [`Error::Shape`] unless dy has the output's shape; [`Error::Argument`] for a max-pooling without positions.
    pub fn pool_dx(&self, spec: &Pool2d, x_shape: &[usize], positions: Option<&Ints<B>>) -> Result<Self> {
        let g = spec.geometry(x_shape)?;
        if self.shape() != g.y_shape() {
            return Err(Error::shape("pool backward", format!("a gradient {:?}", g.y_shape()), self.shape()));
        }
        let dx = match (spec.kind, positions) {
            (PoolKind::Max, Some(positions)) if positions.len() == self.len() => {
                self.device().max_pool_dx(&g, &positions.data, &self.data)?
            }
            (PoolKind::Max, _) => {
                return Err(Error::argument("pool backward", "max-pooling needs the positions its forward returned"));
            }
            _ => self.device().average_pool_dx(&g, &self.data)?,
        };
        Ok(Self::from_parts(self.device().clone(), x_shape.to_vec(), dx))
    }
}
