//! Automatic differentiation, layers, networks as text and their weights.
#![warn(missing_docs)]

mod error;
pub mod gradient_check;
pub mod init;
pub mod model;
pub mod network;
pub mod ops;
pub mod summary;
mod tape;
#[cfg(feature = "weights")]
pub mod weights;

pub use error::{Error, Result};
pub use init::Init;
pub use model::{LayerKind, LayerSpec, Layout, Model, Parameter, ParameterSpec};
pub use network::{Mode, Network, Pass};
pub use tape::{Backward, Gradients, Sink, Tape, Var};
