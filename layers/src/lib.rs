//! Automatic differentiation on a tape, the layers of AlexNet and related networks, networks in code and as TOML files,
//! and weights files.
//!
//! - [`Tape`] computes and records, [`Tape::backward`] gives [`Gradients`]. The operations are in [`ops`], one file
//!   each.
//! - [`Module`] is a layer or a network with named [`Parameters`]; [`nn`] has those of this crate. A [`Pass`] is one
//!   forward pass of a module.
//! - [`gradient_check`] compares gradients with finite differences: the test of every new operation.
//! - [`Model`] is a network as TOML: a preset or a file. [`Network`] is a model with parameters on a device.
//! - [`summary`] prints a model's layers.
//! - `weights`, behind the default feature `safetensors`, reads and writes parameters as safetensors, and with the
//!   feature `hdf5` as HDF5 too.
//!
//! Images are laid out NHWC, weights as in [`tensor`]. Everything works on every [`tensor::Backend`].
//!
//! ```
//! use alexnet_layers::Tape;
//! use alexnet_layers::tensor::{Cpu, Tensor};
//!
//! let mut tape = Tape::new();
//! let x = tape.parameter(Tensor::from_slice(&Cpu::<f64>::new(1)?, &[3], &[1.0, 2.0, 3.0])?);
//! let square = tape.multiply(&x, &x)?;
//! let loss = tape.sum(&square)?;
//! let gradients = tape.backward(&loss)?;
//! assert_eq!(gradients.get(&x).unwrap().to_vec()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), alexnet_layers::Error>(())
//! ```
#![warn(missing_docs)]

mod error;
pub mod gradient_check;
pub mod init;
pub mod model;
pub mod module;
pub mod network;
pub mod nn;
pub mod ops;
pub mod summary;
mod tape;
#[cfg(feature = "safetensors")]
pub mod weights;

pub use error::{Error, Result};
pub use init::Init;
pub use model::{Edits, LayerKind, LayerSpec, Layout, Model, ParameterSpec};
pub use module::{Module, Parameter, ParameterGradients, ParameterId, Parameters, Pass, Statistics};
pub use network::{Mode, Network};
pub use tape::{Backward, Gradients, InputGrads, Tape, Var};
pub use tensor;
pub use toml;

/// The README's programs, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
