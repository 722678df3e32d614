//! The number formats of a device, and the launch of kernels for each.

use cubecl::ir::{DeviceProperties, ElemType, FloatKind, StorageType};

pub use crate::precision::{Dtype, Precision};

impl Precision {
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
