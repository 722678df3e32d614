//! The operations: one file each, forward and backward together.
//!
//! A file holds the settings of an operation, its shape rule, the [`Operation`](crate::Operation)s that a backend
//! implements in the file of the same name, and the methods of [`Tensor`](crate::Tensor) that check shapes and run them.
//! The gradient of `x` is called `dx`. [`Backend`] lists all of them.
//!
//! Settings have a default or a constructor: a literal that ends in `..Conv2d::default()` still compiles when a setting is
//! added.

pub mod activation;
pub mod adaptive_pool;
pub mod batch_norm;
pub mod conv2d;
pub mod count;
pub mod crop_and_normalize;
pub mod cross_entropy;
pub mod dropout;
pub mod elementwise;
pub mod layout;
pub mod linear;
pub mod local2d;
pub mod lrn;
pub mod lrn_pool;
pub mod pool;
pub mod reduce;
pub mod reduce_axes;
pub mod relu_bias;
pub mod sample;
pub mod strided;
pub mod unary;
pub mod update;
mod window;

pub use activation::Activation;
pub use batch_norm::BatchStatistics;
pub use conv2d::Conv2d;
pub use crop_and_normalize::{CropAndNormalize, CropParams, InputTransform, Mean};
pub use dropout::{Dropout, DropoutScale};
pub use linear::MatmulOptions;
pub use lrn::{AlphaScaling, Lrn, Region};
pub use pool::{Pool2d, PoolKind};
pub use unary::UnaryOperator;
pub use update::{AdamStep, AdamUpdate, SgdStep, SgdUpdate};
pub use window::{Padding, RoundMode};

use crate::dry_run::MemoryModel;
use crate::{Device, Kernel};

/// A device with a kernel for every operation of this list. A missing kernel is a compile error.
///
/// The backends are [`Cpu`](crate::Cpu), `Gpu`, and the two that wrap one: [`Profiled`](crate::Profiled) and
/// [`DryRun`](crate::DryRun). Other crates cannot add one, so that operations can be added. They can add operations: see
/// [`Kernel`].
pub trait Backend:
    Device
    + Kernel<activation::ActivationForward>
    + Kernel<activation::ActivationBackward>
    + Kernel<adaptive_pool::AdaptiveAveragePoolForward>
    + Kernel<adaptive_pool::AdaptiveAveragePoolBackward>
    + Kernel<batch_norm::BatchMoments>
    + Kernel<batch_norm::BatchNormForward>
    + Kernel<batch_norm::BatchNormBackward>
    + Kernel<conv2d::Conv2dForward>
    + Kernel<conv2d::Conv2dInputGrad>
    + Kernel<conv2d::Conv2dWeightGrad>
    + Kernel<count::CountGe>
    + for<'a> Kernel<crop_and_normalize::CropAndNormalizeImages<'a>>
    + Kernel<cross_entropy::Softmax>
    + Kernel<cross_entropy::CrossEntropyForward>
    + Kernel<cross_entropy::CrossEntropyBackward>
    + Kernel<cross_entropy::RankOfLabel>
    + Kernel<dropout::DropoutForward>
    + Kernel<elementwise::Binary>
    + Kernel<elementwise::BroadcastBinary>
    + Kernel<elementwise::AddScaled>
    + Kernel<elementwise::MulAddScalar>
    + Kernel<linear::Matmul>
    + Kernel<local2d::Local2dForward>
    + Kernel<local2d::Local2dInputGrad>
    + Kernel<local2d::Local2dWeightGrad>
    + Kernel<lrn::LrnForward>
    + Kernel<lrn::LrnBackward>
    + Kernel<lrn_pool::LrnMaxPoolForward>
    + Kernel<lrn_pool::LrnMaxPoolBackward>
    + Kernel<lrn_pool::LrnMaxPoolReluBiasBackward>
    + Kernel<pool::MaxPoolForward>
    + Kernel<pool::MaxPoolBackward>
    + Kernel<pool::AveragePoolForward>
    + Kernel<pool::AveragePoolBackward>
    + Kernel<reduce::Sum>
    + Kernel<reduce::SumRows>
    + Kernel<reduce::MaxAndArgmax>
    + Kernel<reduce::AllFinite>
    + Kernel<reduce_axes::ReduceAxis>
    + Kernel<reduce_axes::ExtremumBackward>
    + Kernel<relu_bias::ReluBiasBackward>
    + Kernel<sample::SampleNormal>
    + Kernel<sample::SampleUniform>
    + Kernel<strided::StridedCopy>
    + Kernel<strided::SliceBackward>
    + Kernel<strided::Concat>
    + Kernel<unary::Unary>
    + Kernel<unary::UnaryBackward>
    + Kernel<update::SgdSteps>
    + Kernel<update::AdamSteps>
{
    /// How this device allocates memory, for a [`DryRun`](crate::DryRun).
    #[doc(hidden)]
    fn memory_model(&self) -> MemoryModel {
        MemoryModel::default()
    }
}
