//! The number types of tensors.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{AddAssign, MulAssign, SubAssign};

use crate::cpu::{CompiledKernels, Gemm};

/// A number type of tensors: `f32` to train, `f64` to check gradients. There are no others.
pub trait Element:
    CompiledKernels
    + Gemm
    + num_traits::Float
    + num_traits::FromPrimitive
    + bytemuck::Pod
    + Default
    + Debug
    + Display
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
    + Send
    + Sync
    + 'static
{
    /// The type's name in files and messages.
    const NAME: &'static str;
    /// The nearest value to `v`.
    fn of(v: f64) -> Self;
    /// This value in double precision.
    fn f64(self) -> f64;
}

impl Element for f32 {
    const NAME: &'static str = "f32";
    #[inline]
    fn of(v: f64) -> Self {
        v as f32
    }
    #[inline]
    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    const NAME: &'static str = "f64";
    #[inline]
    fn of(v: f64) -> Self {
        v
    }
    #[inline]
    fn f64(self) -> f64 {
        self
    }
}
