//! Local response normalisation (paper, section 3.3).

use crate::{Backend, Device, Error, Result, Tensor};

/// The neighbours that a value is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// `size` adjacent channels at the same place.
    AcrossChannels,
    /// `size` x `size` adjacent places of the same channel (the authors' code's second norm after conv2).
    WithinMap,
}

/// What alpha multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlphaRule {
    /// The sum of squares, as the paper's formula has it.
    Sum,
    /// The mean of squares over the nominal window (the sum over `size`, or over `size` squared within a map), as the
    /// authors' code, Caffe and PyTorch have it.
    Mean,
}

/// b = a / (k + alpha * sum of a^2 over the window)^beta; windows are cut at the edges.
///
/// The window of position i is `i - size / 2 ..= i + (size - 1) / 2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrn {
    /// Neighbours, the value itself included.
    pub size: usize,
    /// Weight of the squares.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// Added to the sum.
    pub k: f64,
    /// Which neighbours.
    pub region: Region,
    /// What alpha multiplies.
    pub alpha_rule: AlphaRule,
}

impl Lrn {
    /// The paper's constants: size 5, alpha 1e-4 on the sum, beta 0.75, k 2, across channels.
    pub fn paper() -> Self {
        Self { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0, region: Region::AcrossChannels, alpha_rule: AlphaRule::Sum }
    }

    /// Alpha as a factor of the sum of squares.
    pub fn alpha_of_sum(&self) -> f64 {
        match (self.alpha_rule, self.region) {
            (AlphaRule::Sum, _) => self.alpha,
            (AlphaRule::Mean, Region::AcrossChannels) => self.alpha / self.size as f64,
            (AlphaRule::Mean, Region::WithinMap) => self.alpha / (self.size as f64).powi(2),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.size == 0 || !(self.k > 0.0 && self.alpha >= 0.0 && self.beta.is_finite()) {
            let what = format!("size must be at least 1, k above 0, alpha at least 0, beta finite; got {self:?}");
            return Err(Error::argument("lrn", what));
        }
        Ok(())
    }
}

/// What a backend supplies; `shape` is NHWC.
pub trait Kernels: Device {
    /// The output and the base k + alpha * sum, which the backward needs.
    fn lrn(&self, spec: &Lrn, shape: [usize; 4], x: &Self::Floats) -> Result<(Self::Floats, Self::Floats)>;
    /// dx_i = dy_i base_i^-beta - 2 alpha beta x_i * sum over j whose window holds i of dy_j x_j base_j^(-beta-1).
    fn lrn_dx(
        &self,
        spec: &Lrn,
        shape: [usize; 4],
        x: &Self::Floats,
        base: &Self::Floats,
        dy: &Self::Floats,
    ) -> Result<Self::Floats>;
}

impl<B: Backend> Tensor<B> {
    /// Normalises `[n, h, w, c]`; returns the output and the base that [`lrn_dx`](Self::lrn_dx) needs.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of axes; [`Error::Argument`] for constants out of range.
    pub fn lrn(&self, spec: &Lrn) -> Result<(Self, Self)> {
        spec.check()?;
        let (y, base) = self.device().lrn(spec, self.dims4("lrn")?, &self.data)?;
        Ok((self.with_data(y), self.with_data(base)))
    }

    /// The gradient of [`lrn`](Self::lrn) for its input `x`; `self` is dy.
    pub fn lrn_dx(&self, spec: &Lrn, x: &Self, base: &Self) -> Result<Self> {
        spec.check()?;
        self.same_shape("lrn backward", x)?;
        self.same_shape("lrn backward", base)?;
        let dx = self.device().lrn_dx(spec, self.dims4("lrn backward")?, &x.data, &base.data, &self.data)?;
        Ok(self.with_data(dx))
    }
}
