//! Layers with parameters, for networks in code.
//!
//! Each is a [`Module`](crate::Module): [`Conv2d`], [`Linear`], [`BatchNorm`], [`Sequential`]. Layers without parameters
//! are their settings: [`Activation`](tensor::ops::Activation), [`Pool2d`](tensor::ops::Pool2d), [`Lrn`](tensor::ops::Lrn),
//! [`Dropout`](tensor::ops::Dropout), [`AdaptiveAveragePool`](crate::model::AdaptiveAveragePool),
//! [`GlobalAveragePool`](crate::model::GlobalAveragePool) and [`Flatten`] are modules too. What they compute are methods
//! of [`Tape`](crate::Tape).
//!
//! Layers with the same settings in the same order have the initial values of a [`Network`](crate::Network) of the same
//! seed.
//!
//! ```
//! use alexnet_layers::model::Conv;
//! use alexnet_layers::nn::{Conv2d, Initializer, Linear};
//! use alexnet_layers::tensor::ops::{Activation, Pool2d, PoolKind};
//! use alexnet_layers::tensor::{Backend, Cpu, Tensor};
//! use alexnet_layers::{Module, Pass, Result, Var, parameters};
//!
//! struct Small<B: Backend> {
//!     conv: Conv2d<B>,
//!     fc: Linear<B>,
//! }
//!
//! parameters! { Small { conv, fc } }
//!
//! impl<B: Backend> Module<B> for Small<B> {
//!     fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
//!         let x = self.conv.forward(x, pass)?;
//!         let x = pass.tape.activation(&x, Activation::Relu)?;
//!         let x = pass.tape.pool(&x, &Pool2d::new(PoolKind::Max, 2, 2))?;
//!         self.fc.forward(&x, pass)
//!     }
//! }
//!
//! let cpu = Cpu::<f32>::new(1)?;
//! let mut init = Initializer::new(&cpu, 1);
//! let small = Small {
//!     conv: Conv2d::new(&mut init, 3, &Conv::new(8, 3).padding(1))?,
//!     fc: Linear::new(&mut init, &[4, 4, 8], 10)?, // a map of 4 x 4 pixels and 8 channels
//! };
//! assert_eq!(small.predict(Tensor::zeros(&cpu, &[2, 8, 8, 3])?)?.shape(), [2, 10]);
//! # Ok::<(), alexnet_layers::Error>(())
//! ```

pub(crate) mod batch_norm;
mod conv2d;
mod initializer;
mod linear;
mod sequential;
mod stateless;

pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use initializer::Initializer;
pub use linear::Linear;
pub use sequential::Sequential;
pub use stateless::Flatten;

use tensor::Backend;

use crate::model::ParameterSpec;
use crate::{Error, Parameter, Result};

/// The error of a layer's settings.
fn invalid(op: &'static str) -> impl Fn(String) -> Error {
    move |what| tensor::Error::Argument { op, what }.into()
}

/// A layer's weight, and its bias if it has one.
fn weight_and_bias<B: Backend>(
    init: &mut Initializer<B>,
    specs: Vec<ParameterSpec>,
) -> Result<(Parameter<B>, Option<Parameter<B>>)> {
    let mut parameters = specs.into_iter().map(|spec| init.parameter(spec));
    let missing = || Error::tape("layer", "it has no weight");
    let weight = parameters.next().ok_or_else(missing)??;
    Ok((weight, parameters.next().transpose()?))
}
