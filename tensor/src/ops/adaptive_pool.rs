//! Adaptive average pooling: the output has a given size, whatever that of the input.

use std::ops::Range;

use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// All lengths of one adaptive pooling, checked.
///
/// Window i of an axis holds the places from floor(i input / output) to ceil((i + 1) input / output), as in PyTorch's
/// `AdaptiveAvgPool2d`. So windows cover the input, and neighbours may share a place.
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
}

impl Geometry {
    /// Checks an input `[n, h, w, c]` and an output height and width.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of axes; [`Error::Argument`] for a height or width of 0.
    pub fn new(x: &[usize], output: [usize; 2]) -> Result<Self> {
        const OP: &str = "adaptive pool";
        let [n, h, w, c]: [usize; 4] = x.try_into().map_err(|_| Error::shape(OP, "an NHWC input", x))?;
        let geometry = Self { n, input: [h, w], output, channels: c };
        let countable = |axis: usize| output[axis].checked_add(1)?.checked_mul(geometry.input[axis].checked_add(1)?);
        for axis in 0..2 {
            if geometry.input[axis] == 0 || output[axis] == 0 || countable(axis).is_none() {
                let what = format!("height and width must be above 0, got {:?} to {output:?}", geometry.input);
                return Err(Error::argument(OP, what));
            }
        }
        Ok(geometry)
    }

    /// `[n, h, w, c]` of the input.
    pub fn x_shape(&self) -> [usize; 4] {
        [self.n, self.input[0], self.input[1], self.channels]
    }

    /// `[n, oh, ow, c]` of the output.
    pub fn y_shape(&self) -> [usize; 4] {
        [self.n, self.output[0], self.output[1], self.channels]
    }

    /// The places of window `i` along the rows' axis (0) or the columns' (1).
    pub(crate) fn window(&self, axis: usize, i: usize) -> Range<usize> {
        share(i, self.input[axis], self.output[axis])
    }

    /// The windows that hold place `at` of an axis.
    pub(crate) fn windows_over(&self, axis: usize, at: usize) -> Range<usize> {
        share(at, self.output[axis], self.input[axis])
    }

    /// The number of places of window (oy, ox).
    pub(crate) fn count(&self, oy: usize, ox: usize) -> usize {
        self.window(0, oy).len() * self.window(1, ox).len()
    }
}

/// The places that part `i` of `parts` holds of a `length`, those that it shares with others included.
fn share(i: usize, length: usize, parts: usize) -> Range<usize> {
    i * length / parts..((i + 1) * length).div_ceil(parts)
}

/// The means of the windows. Operand: x. Output: y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveAveragePoolForward {
    /// Lengths.
    pub geometry: Geometry,
}

impl Operation for AdaptiveAveragePoolForward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "adaptive average pool"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.geometry.y_shape().iter().product())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// Each gradient divided among the places of its window. Operand: dy. Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveAveragePoolBackward {
    /// Lengths.
    pub geometry: Geometry,
}

impl Operation for AdaptiveAveragePoolBackward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "adaptive average pool dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.like(of[0], self.geometry.x_shape().iter().product())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// Averages `[n, h, w, c]` to `[n, output height, output width, c]`. An input of the output's size is returned as it
    /// is.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[1, 2, 2, 1], &[1.0, 2.0, 3.0, 6.0])?;
    /// assert_eq!(x.adaptive_average_pool([1, 1])?.to_vec()?, [3.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Geometry::new`].
    pub fn adaptive_average_pool(&self, output: [usize; 2]) -> Result<Self> {
        let geometry = Geometry::new(self.shape(), output)?;
        if geometry.input == output {
            return Ok(self.clone());
        }
        let [y] = self.device().run(&AdaptiveAveragePoolForward { geometry }, [&self.data])?;
        Ok(Self::from_parts(self.device().clone(), geometry.y_shape().to_vec(), y))
    }

    /// The mean of each channel of each image: `[n, h, w, c]` to `[n, c]`.
    ///
    /// # Errors
    /// Those of [`Geometry::new`].
    ///
    /// ```
    /// # use alexnet_tensor::{Cpu, Tensor};
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[1, 2, 2, 1], &[1.0, 2.0, 3.0, 6.0])?;
    /// let y = x.global_average_pool()?;
    /// assert_eq!((y.shape(), y.scalar()?), (&[1, 1][..], 3.0));
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn global_average_pool(&self) -> Result<Self> {
        let [n, _, _, c] = self.dims4("global average pool")?;
        self.adaptive_average_pool([1, 1])?.reshape(&[n, c])
    }

    /// The gradient of [`adaptive_average_pool`](Self::adaptive_average_pool) for its input of `x_shape`; `self` is dy.
    ///
    /// # Errors
    /// [`Error::Shape`] unless dy has the output's shape; those of [`Geometry::new`].
    pub fn adaptive_average_pool_dx(&self, x_shape: &[usize]) -> Result<Self> {
        let output = [1, 2].map(|axis| self.shape().get(axis).copied().unwrap_or(1));
        let geometry = Geometry::new(x_shape, output)?;
        if self.shape() != geometry.y_shape() {
            let expected = format!("a gradient {:?}", geometry.y_shape());
            return Err(Error::shape("adaptive pool backward", expected, self.shape()));
        }
        if geometry.input == output {
            return Ok(self.clone());
        }
        let [dx] = self.device().run(&AdaptiveAveragePoolBackward { geometry }, [&self.data])?;
        Ok(Self::from_parts(self.device().clone(), x_shape.to_vec(), dx))
    }
}
