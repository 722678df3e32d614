//! Number formats.

use std::fmt;
use std::str::FromStr;

use cubecl::ir::{DeviceProperties, ElemType, FloatKind, StorageType};

/// How matrix products are computed and what flows between layers. Weights, their gradients and the optimizer's state
/// are `f32` in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Everything in `f32`, products too: nothing is rounded to fewer bits in silence.
    #[default]
    F32,
    /// Factors of matrix products are rounded to 10 bits after the point for tensor cores; the rest is `f32`.
    Tf32,
    /// Activations and the factors of matrix products have 7 bits after the point and the exponents of `f32`, so that
    /// gradients do not vanish and the loss needs no scaling. Sums are `f32`.
    Bf16,
}

impl Precision {
    /// The type of what flows between layers.
    pub fn activations(self) -> Dtype {
        match self {
            Self::F32 | Self::Tf32 => Dtype::F32,
            Self::Bf16 => Dtype::Bf16,
        }
    }

    /// How a device can compute. `f32` needs nothing; the others need matrix units for them, and `bf16` buffers of it.
    pub(crate) fn supported(device: &DeviceProperties) -> Vec<Self> {
        let fragments = |kind| {
            let kind = StorageType::Scalar(ElemType::Float(kind));
            device.features.matmul.cmma.iter().any(|c| c.a_type == kind)
        };
        let bf16 = fragments(FloatKind::BF16) && device.supports_type(ElemType::Float(FloatKind::BF16));
        [(Self::F32, true), (Self::Tf32, fragments(FloatKind::TF32)), (Self::Bf16, bf16)]
            .into_iter()
            .filter_map(|(precision, there)| there.then_some(precision))
            .collect()
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

/// The type of a buffer's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits: the upper half of an `f32`.
    Bf16,
}

impl Dtype {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// Runs `$body` with the type `$F` that a [`Dtype`] stands for.
macro_rules! dispatch {
    ($dtype:expr, $F:ident => $body:expr) => {
        match $dtype {
            $crate::gpu::Dtype::F32 => {
                type $F = f32;
                $body
            }
            $crate::gpu::Dtype::Bf16 => {
                type $F = half::bf16;
                $body
            }
        }
    };
}
pub(crate) use dispatch;
