//! Tensors and the kernels of convolutional networks, forward and backward.
//!
//! A [`Tensor`] lives on a [`Backend`]: [`Cpu<f32>`](Cpu) to train, `Cpu<f64>` to check gradients, `Gpu` with the
//! features `cuda` or `wgpu`. Every operation is a file in [`ops`]: its settings, its shape rule, the [`Operation`] that a
//! backend implements, and the methods of `Tensor` that run it. Images are laid out as NHWC, convolution weights as
//! `[out, kernel height, kernel width, in / groups]`, matrices of weights as `[out, in]`.
//!
//! This crate knows neither layers nor automatic differentiation: an operation's backward is a function like its forward.
#![warn(missing_docs)]

pub mod cpu;
mod device;
pub mod dry_run;
mod element;
mod error;
#[cfg(feature = "gpu")]
pub mod gpu;
mod images;
mod operation;
pub mod ops;
mod precision;
pub mod profiled;
mod show;
mod tensor;

pub use cpu::{Algorithms, Cpu};
pub use device::{Device, Memory};
pub use dry_run::DryRun;
pub use element::Element;
pub use error::{Error, Result};
#[cfg(feature = "gpu")]
pub use gpu::Gpu;
pub use images::{DeviceImages, HostImages};
pub use ndarray;
pub use operation::{Alloc, Handle, Kernel, Operands, Operation, Outputs, Workspace};
pub use ops::Backend;
pub use precision::{Dtype, Precision};
pub use profiled::Profiled;
pub use random;
pub use tensor::{AsArrayView, IntTensor, Tensor, read_all};

/// The README's program, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
