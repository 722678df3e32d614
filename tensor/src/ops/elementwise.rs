//! Sums, products and scaling, value by value.

use crate::{Backend, Device, Result, Tensor};

/// An operation on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b.
    Add,
    /// a - b.
    Subtract,
    /// a b.
    Multiply,
}

/// What a backend supplies.
pub trait Kernels: Device {
    /// c = a op b.
    fn binary(&self, op: Binary, len: usize, a: &Self::Floats, b: &Self::Floats) -> Result<Self::Floats>;
    /// y += factor * x, in place.
    fn add_scaled(&self, len: usize, y: &mut Self::Floats, factor: f64, x: &Self::Floats) -> Result<()>;
    /// factor * x + shift.
    fn affine(&self, len: usize, x: &Self::Floats, factor: f64, shift: f64) -> Result<Self::Floats>;
}

impl<B: Backend> Tensor<B> {
    /// self + other.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Add, other)
    }

    /// self - other.
    pub fn subtract(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Subtract, other)
    }

    /// self times other, value by value.
    pub fn multiply(&self, other: &Self) -> Result<Self> {
        self.binary(Binary::Multiply, other)
    }

    /// The values times `factor`.
    pub fn scale(&self, factor: f64) -> Result<Self> {
        self.affine(factor, 0.0)
    }

    /// factor * self + shift.
    pub fn affine(&self, factor: f64, shift: f64) -> Result<Self> {
        Ok(self.with_data(self.device().affine(self.len(), &self.data, factor, shift)?))
    }

    /// self += factor * other.
    pub fn add_scaled(&mut self, factor: f64, other: &Self) -> Result<()> {
        self.same_shape("add_scaled", other)?;
        let (device, len) = (self.device().clone(), self.len());
        device.add_scaled(len, &mut self.data, factor, &other.data)
    }

    fn binary(&self, op: Binary, other: &Self) -> Result<Self> {
        self.same_shape("elementwise", other)?;
        Ok(self.with_data(self.device().binary(op, self.len(), &self.data, &other.data)?))
    }
}
