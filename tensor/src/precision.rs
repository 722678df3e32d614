//! Number formats.

use std::fmt;
use std::str::FromStr;

/// The precision of matrix products and activations. Weights, their gradients and the optimizer's state are always `f32`.
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
}

impl Precision {
    /// The type of activations.
    pub fn activations(self) -> Dtype {
        match self {
            Self::F32 | Self::Tf32 => Dtype::F32,
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
            other => Err(format!("expected f32, tf32 or bf16, got {other:?}")),
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
