//! Local response normalisation (paper, section 3.3).

use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

/// The window whose squares a value is normalised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// `size` adjacent channels of the same pixel.
    AcrossChannels,
    /// `size` x `size` adjacent pixels of the same channel (the norm after conv2 in the authors' code).
    WithinChannel,
}

/// The scaling of alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlphaScaling {
    /// Alpha multiplies the sum of squares (the paper's formula).
    Sum,
    /// Alpha multiplies the sum of squares divided by the window's size: `size`, or `size` squared within a channel (the
    /// authors' code, Caffe and PyTorch).
    Mean,
}

/// Settings of the normalisation: b = a / (k + alpha * sum of a^2 over the window)^beta.
///
/// The window of position i is `i - size / 2 ..= i + (size - 1) / 2`, clipped to the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrn {
    /// Length of the window along each of its axes.
    pub size: usize,
    /// The factor of the squares.
    pub alpha: f64,
    /// The exponent.
    pub beta: f64,
    /// The constant term.
    pub k: f64,
    /// The axes of the window.
    pub region: Region,
    /// The scaling of alpha.
    pub alpha_scaling: AlphaScaling,
}

/// The paper's settings.
impl Default for Lrn {
    fn default() -> Self {
        Self::paper()
    }
}

impl Lrn {
    /// The paper's settings: size 5, alpha 1e-4 on the sum, beta 0.75, k 2, across channels.
    pub fn paper() -> Self {
        Self {
            size: 5,
            alpha: 1e-4,
            beta: 0.75,
            k: 2.0,
            region: Region::AcrossChannels,
            alpha_scaling: AlphaScaling::Sum,
        }
    }

    /// The factor of the sum of squares.
    pub fn alpha_of_sum(&self) -> f64 {
        match (self.alpha_scaling, self.region) {
            (AlphaScaling::Sum, _) => self.alpha,
            (AlphaScaling::Mean, Region::AcrossChannels) => self.alpha / self.size as f64,
            (AlphaScaling::Mean, Region::WithinChannel) => self.alpha / (self.size as f64).powi(2),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.size == 0 || !(self.k > 0.0 && self.alpha >= 0.0 && self.beta.is_finite()) {
            let Self { size, k, alpha, beta, .. } = self;
            let got = format!("got size {size}, k {k}, alpha {alpha}, beta {beta}");
            let what = format!("size must be at least 1, k above 0, alpha at least 0, beta finite; {got}");
            return Err(Error::argument("lrn", what));
        }
        Ok(())
    }
}

/// The output, and the base k + alpha * sum for the backward. Operand: x. Outputs: y, base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnForward {
    /// The settings.
    pub spec: Lrn,
    /// NHWC.
    pub shape: [usize; 4],
}

impl Operation for LrnForward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 2];

    fn name(&self) -> &'static str {
        "lrn"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let [x] = of;
        let len = self.shape.iter().product();
        Ok([new.like(x, len)?, new.like(x, len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// dx_i = dy_i base_i^-beta - 2 alpha beta x_i * sum of dy_j x_j base_j^(-beta-1) over all j whose windows contain i.
/// Operands: x, base, dy. Output: dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnBackward {
    /// The settings.
    pub spec: Lrn,
    /// NHWC.
    pub shape: [usize; 4],
}

impl Operation for LrnBackward {
    type In<'a, F: Handle, I: Handle> = [&'a F; 3];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "lrn dx"
    }

    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        let [_, _, dy] = of;
        Ok([new.like(dy, self.shape.iter().product())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> Tensor<B> {
    /// Normalises `[n, h, w, c]`. Returns the output and the base, which [`lrn_dx`](Self::lrn_dx) needs.
    ///
    /// ```
    /// use alexnet_tensor::ops::Lrn;
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let x = Tensor::full(&Cpu::<f32>::new(1)?, &[1, 1, 1, 3], 1.0)?;
    /// let spec = Lrn { size: 3, alpha: 1.0, beta: 1.0, k: 1.0, ..Lrn::default() };
    /// let (y, base) = x.lrn(&spec)?;
    /// assert_eq!(base.to_vec()?, [3.0, 4.0, 3.0]);
    /// let dx = y.lrn_dx(&spec, &x, &base)?;
    /// assert_eq!(dx.shape(), x.shape());
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of axes; [`Error::Argument`] for settings out of range.
    pub fn lrn(&self, spec: &Lrn) -> Result<(Self, Self)> {
        spec.check()?;
        let op = LrnForward { spec: *spec, shape: self.dims4("lrn")? };
        let [y, base] = self.device().run(&op, [&self.data])?;
        Ok((self.with_data(y), self.with_data(base)))
    }

    /// The gradient of [`lrn`](Self::lrn) for its input `x`; `self` is dy.
    pub fn lrn_dx(&self, spec: &Lrn, x: &Self, base: &Self) -> Result<Self> {
        spec.check()?;
        self.same_shape("lrn backward", x)?;
        self.same_shape("lrn backward", base)?;
        let op = LrnBackward { spec: *spec, shape: self.dims4("lrn backward")? };
        let [dx] = self.device().run(&op, [&x.data, &base.data, &self.data])?;
        Ok(self.with_data(dx))
    }
}
