//! Number formats.

use std::fmt;
use std::str::FromStr;

/// The precision of matrix products and activations. Weights, their gradients and the optimizer's state are `f32`, but
/// for the weights of [`Int8`](Self::Int8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Everything in `f32`, products too.
    #[default]
    F32,
    /// Operands of matrix products are rounded to `tf32`, with 10-bit mantissas, for the tensor cores of GPUs; the rest
    /// is `f32`.
    Tf32,
    /// Activations and operands of matrix products are `bf16`, with 7-bit mantissas; sums are `f32`. Since `bf16` has the
    /// range of `f32`, the loss needs no scaling.
    Bf16,
    /// For prediction on the CPU: matrices that [`to_weight_dtype`](crate::Tensor::to_weight_dtype) has rounded, the
    /// weights of fully connected layers, are 8-bit integers with a scale per row, an output channel. The rest is `bf16`
    /// where the processor has units for it, else `f32`.
    Int8,
}

impl Precision {
    /// The type of activations. For [`Int8`](Self::Int8) it depends on the processor: this is that without a unit for
    /// `bf16`.
    pub fn activations(self) -> Dtype {
        match self {
            Self::F32 | Self::Tf32 | Self::Int8 => Dtype::F32,
            Self::Bf16 => Dtype::Bf16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "f32" => Ok(Self::F32),
            "tf32" => Ok(Self::Tf32),
            "bf16" => Ok(Self::Bf16),
            "int8" => Ok(Self::Int8),
            other => Err(format!("expected f32, tf32, bf16 or int8, got {other:?}")),
        }
    }
}

/// The type of the values of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits: the upper half of an `f32`.
    Bf16,
}

impl Dtype {
    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}
