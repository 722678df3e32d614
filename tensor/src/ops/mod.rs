//! The operations: one file each, forward and backward together.
//!
//! A file holds the settings of an operation, its shape rule, the [`Operation`](crate::Operation)s that a backend
//! implements in the file of the same name, and the methods of [`Tensor`](crate::Tensor) that check shapes and run them.
//! The gradient of `x` is called `dx`.

pub mod activation;
pub mod batch_norm;
pub mod conv2d;
pub mod count;
pub mod crop_and_normalize;
pub mod cross_entropy;
pub mod dropout;
pub mod elementwise;
pub mod linear;
pub mod local2d;
pub mod lrn;
pub mod lrn_pool;
pub mod pool;
pub mod reduce;
pub mod relu_bias;
pub mod sample;
pub mod update;
mod window;

pub use activation::Activation;
pub use batch_norm::BatchStatistics;
pub use conv2d::Conv2d;
pub use crop_and_normalize::{CropAndNormalize, CropParams, InputTransform, Mean};
pub use dropout::{Dropout, DropoutScale};
pub use lrn::{AlphaScaling, Lrn, Region};
pub use pool::{Pool2d, PoolKind};
pub use update::{AdamStep, AdamUpdate, SgdStep, SgdUpdate};
pub use window::{Padding, RoundMode};
