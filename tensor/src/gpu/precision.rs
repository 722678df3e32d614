//! Number formats.

use std::fmt;
use std::str::FromStr;

use cubecl::ir::{DeviceProperties, ElemType, FloatKind, StorageType};

/// The precision of matrix products and activations. Weights, their gradients and the optimizer's state are always `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Everything in `f32`, products too.
    #[default]
    F32,
    /// Operands of matrix products are rounded to `tf32`, with 10-bit mantissas, for tensor cores; the rest is `f32`.
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

    /// The precisions that a device supports: `f32` always, others with matrix units for them, `bf16` also with buffers.
    pub(crate) fn supported(device: &DeviceProperties) -> Vec<Self> {
        let has_matrix_units = |kind| {
            let operand = StorageType::Scalar(ElemType::Float(kind));
            device.features.matmul.cmma.iter().any(|config| config.a_type == operand)
        };
        let mut precisions = vec![Self::F32];
        if has_matrix_units(FloatKind::TF32) {
            precisions.push(Self::Tf32);
        }
        if has_matrix_units(FloatKind::BF16) && device.supports_type(ElemType::Float(FloatKind::BF16)) {
            precisions.push(Self::Bf16);
        }
        precisions
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

/// Runs an expression with the type that a [`Dtype`] stands for, `f32` or `bf16`: the launch of a generic kernel, so that
/// it reads and writes activations in every [`Precision`].
///
/// ```
/// use alexnet_tensor::gpu::{Dtype, dispatch};
///
/// let bytes = |dtype: Dtype| dispatch!(dtype, F => size_of::<F>());
/// assert_eq!([Dtype::F32, Dtype::Bf16].map(bytes), [4, 2]);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __dispatch_dtype {
    ($dtype:expr, $F:ident => $body:expr) => {
        match $dtype {
            $crate::gpu::Dtype::F32 => {
                type $F = f32;
                $body
            }
            $crate::gpu::Dtype::Bf16 => {
                type $F = $crate::gpu::half::bf16;
                $body
            }
            // Users of the macro see an enum that may grow; it grows with it.
            #[allow(unreachable_patterns)]
            _ => unreachable!("the macro knows every type"),
        }
    };
}
#[doc(inline)]
pub use crate::__dispatch_dtype as dispatch;
