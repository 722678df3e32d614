//! Max and average pooling; windows may overlap (paper, section 3.4).

use super::{Padding, RoundMode, window::output_length};
use crate::{Alloc, Backend, Error, Handle, IntTensor, Operation, Result, Tensor};

/// How the values of a window are reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolKind {
    /// The maximum. NaN is larger than any number. Of equal values, the first in row order gets the gradient.
    Max,
    /// The mean of the values inside the image (authors' code, Keras).
    Average,
    /// The mean over the window clipped to the padded image, where padding counts as zeros (Caffe, PyTorch's default).
    AverageWithPadding,
}

/// Settings of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Maximum or average.
    pub kind: PoolKind,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Steps between windows: rows, columns.
    pub stride: [usize; 2],
    /// Positions around the image that windows may cover.
    pub padding: Padding,
    /// Rounding of the output's size.
    pub round_mode: RoundMode,
}

/// The sizes of a pooling, checked. Each window covers at least one value of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Geometry {
    /// Number of images.
    pub n: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output height and width.
    pub output: [usize; 2],
    /// Number of channels.
    pub channels: usize,
    /// The settings.
    pub spec: Pool2d,
}

impl Pool2d {
    /// A pooling of square windows without padding.
    pub fn new(kind: PoolKind, kernel: usize, stride: usize) -> Self {
        Self {
            kind,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: Padding::default(),
            round_mode: RoundMode::Floor,
        }
    }

    /// Checks an input `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of axes; [`Error::Argument`] for settings out of range, among them padding
    /// that is not smaller than the kernel.
    pub fn geometry(&self, x: &[usize]) -> Result<Geometry> {
        const OP: &str = "pool";
        let [n, h, w, c]: [usize; 4] = x.try_into().map_err(|_| Error::shape(OP, "an NHWC input", x))?;
        let pad = self.padding;
        let rows_fit = pad.top.max(pad.bottom) < self.kernel[0].max(1);
        let columns_fit = pad.left.max(pad.right) < self.kernel[1].max(1);
        if !rows_fit || !columns_fit {
            return Err(Error::argument(OP, format!("padding must be smaller than the kernel, got {pad}")));
        }
        let oh = output_length(OP, h, [pad.top, pad.bottom], self.kernel[0], self.stride[0], self.round_mode)?;
        let ow = output_length(OP, w, [pad.left, pad.right], self.kernel[1], self.stride[1], self.round_mode)?;
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

    /// Number of values in the input.
    pub fn input_len(&self) -> usize {
        self.x_shape().iter().product()
    }

    /// Number of values in the output.
    pub fn output_len(&self) -> usize {
        self.y_shape().iter().product()
    }

    /// Padding before the image: above for axis 0, on the left for axis 1.
    pub(crate) fn before(&self, axis: usize) -> usize {
        [self.spec.padding.top, self.spec.padding.left][axis]
    }

    /// Padding after the image: below for axis 0, on the right for axis 1.
    pub(crate) fn after(&self, axis: usize) -> usize {
        [self.spec.padding.bottom, self.spec.padding.right][axis]
    }
}

/// The maxima and their positions, as flat indices in `[h, w]` of their images. Operand: x. Outputs: y, positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPoolForward {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for MaxPoolForward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = ([F; 1], [I; 1]);

    fn name(&self) -> &'static str {
        "max pool"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let len = self.geometry.output_len();
        Ok(([new.like(of[0], len)?], [new.ints(len)?]))
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// Adds each gradient at the position of its maximum. Operands: dy, positions. Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPoolBackward {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for MaxPoolBackward {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 1], [&'a I; 1]);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "max pool dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let ([dy], _) = of;
        Ok([new.like(dy, self.geometry.input_len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// The means. Operand: x. Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePoolForward {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for AveragePoolForward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "average pool"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.geometry.output_len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// Spreads each gradient evenly over its window. Operand: dy. Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePoolBackward {
    /// The sizes.
    pub geometry: Geometry,
}

impl Operation for AveragePoolBackward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "average pool dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.geometry.input_len())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// Pools `[n, h, w, c]` to `[n, oh, ow, c]`. Max-pooling also returns the positions that [`pool_dx`](Self::pool_dx)
    /// needs.
    ///
    /// ```
    /// use alexnet_tensor::ops::{Pool2d, PoolKind};
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let x = Tensor::from_slice(&cpu, &[1, 2, 4, 1], &[1.0, 5.0, 2.0, 3.0, 4.0, 0.0, 7.0, 6.0])?;
    /// let spec = Pool2d::new(PoolKind::Max, 2, 2);
    /// let (y, positions) = x.pool(&spec)?;
    /// assert_eq!(y.to_vec()?, [5.0, 7.0]);
    /// let dx = y.pool_dx(&spec, x.shape(), positions.as_ref())?;
    /// assert_eq!(dx.to_vec()?, [0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 7.0, 0.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool2d::geometry`].
    pub fn pool(&self, spec: &Pool2d) -> Result<(Self, Option<IntTensor<B>>)> {
        let g = spec.geometry(self.shape())?;
        let shape = g.y_shape().to_vec();
        let device = self.device().clone();
        if spec.kind == PoolKind::Max {
            let ([y], [positions]) = device.run(&MaxPoolForward { geometry: g }, [&self.data])?;
            let positions = IntTensor::from_parts(device.clone(), g.output_len(), positions);
            return Ok((Self::from_parts(device, shape, y), Some(positions)));
        }
        let [y] = device.run(&AveragePoolForward { geometry: g }, [&self.data])?;
        Ok((Self::from_parts(device, shape, y), None))
    }

    /// The gradient of [`pool`](Self::pool) for its input of `x_shape`; `self` is dy.
    ///
    /// # Errors
    /// [`Error::Shape`] unless dy has the output's shape; [`Error::Argument`] for max-pooling without its positions.
    pub fn pool_dx(&self, spec: &Pool2d, x_shape: &[usize], positions: Option<&IntTensor<B>>) -> Result<Self> {
        let g = spec.geometry(x_shape)?;
        if self.shape() != g.y_shape() {
            return Err(Error::shape("pool backward", format!("a gradient {:?}", g.y_shape()), self.shape()));
        }
        let [dx] = match (spec.kind, positions) {
            (PoolKind::Max, Some(positions)) if positions.len() == self.len() => {
                self.device().run(&MaxPoolBackward { geometry: g }, ([&self.data], [&positions.data]))?
            }
            (PoolKind::Max, _) => {
                return Err(Error::argument("pool backward", "max-pooling needs the positions its forward returned"));
            }
            _ => self.device().run(&AveragePoolBackward { geometry: g }, [&self.data])?,
        };
        Ok(Self::from_parts(self.device().clone(), x_shape.to_vec(), dx))
    }
}
