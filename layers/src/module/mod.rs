//! Modules: networks and parts of networks in code, with their parameters.
//!
//! A module is a struct whose fields are parameters or other modules. [`parameters!`](crate::parameters) lists the
//! fields that have parameters and so implements [`Parameters`]; [`Module::forward`] is written by hand. A [`Pass`] holds
//! what belongs to one forward pass: the tape, the mode, the parameters that were used. The module itself has only
//! parameters, and a pass does not change it.
//!
//! ```
//! use alexnet_layers::tensor::{Backend, Cpu, Tensor};
//! use alexnet_layers::{Init, Mode, Module, Parameter, ParameterSpec, Parameters, Pass, Result, Var, parameters};
//!
//! /// Multiplies each value by its own factor.
//! struct Gate<B: Backend> {
//!     factor: Parameter<B>,
//! }
//!
//! parameters! { Gate { factor } }
//!
//! impl<B: Backend> Module<B> for Gate<B> {
//!     fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
//!         let factor = pass.parameter(&self.factor);
//!         pass.tape.multiply(x, &factor)
//!     }
//! }
//!
//! let cpu = Cpu::<f32>::new(1)?;
//! let spec = ParameterSpec::new("factor", &[2]).init(Init::Constant(3.0));
//! let mut gate = Gate { factor: Parameter::new(spec, Tensor::full(&cpu, &[2], 3.0)?) };
//!
//! let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
//! let y = gate.forward(&Var::constant(Tensor::from_slice(&cpu, &[2], &[1.0, 2.0])?), &mut pass)?;
//! let loss = pass.tape.sum(&y)?;
//! let gradients = pass.backward(&loss)?;
//! gradients.update(&mut gate, |_, parameter, gradient| parameter.value.add_scaled(-0.5, &gradient))?;
//! assert_eq!(gate.factor.value.to_vec()?, [2.5, 2.0]);
//! # Ok::<(), alexnet_layers::Error>(())
//! ```

mod check;
mod fields;
mod gradients;
mod parameter;
mod pass;
mod values;

pub use gradients::{ParameterGradients, Statistics};
pub use parameter::{Parameter, ParameterId};
pub use pass::Pass;
pub(crate) use values::{matched, upload};
pub use values::{set_values, values};

#[doc(hidden)]
pub use fields::join;

use tensor::{Backend, Tensor};

use crate::network::Mode;
use crate::{Result, Var};

/// Named parameters of a layer or a network, in a fixed order. [`parameters!`](crate::parameters) implements it.
///
/// A name is the path of the fields to the parameter, such as `conv1.weight`; an item of a `Vec` or an array is named by
/// its number: `blocks.0.conv1.weight`. `Option` and `Box` add nothing to the name.
///
/// ```
/// use alexnet_layers::tensor::Cpu;
/// use alexnet_layers::{Model, Network, Parameters};
///
/// let network = Network::new(&Cpu::<f32>::new(1)?, &Model::preset("linear")?, 1)?;
/// let names: Vec<String> = network.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["fc.weight", "fc.bias"]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
pub trait Parameters<B: Backend> {
    /// Calls `f` with the name of each parameter, which begins with `prefix` and a point unless `prefix` is empty.
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>));

    /// Like [`visit`](Self::visit), in the same order, with parameters that can be changed. Their shapes must stay the
    /// same.
    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>));

    /// All parameters with their names.
    fn named_parameters(&self) -> Vec<(String, &Parameter<B>)> {
        let mut all = Vec::new();
        self.visit("", &mut |name, parameter| all.push((name.to_owned(), parameter)));
        all
    }

    /// All parameters with their names, to be changed.
    fn named_parameters_mut(&mut self) -> Vec<(String, &mut Parameter<B>)> {
        let mut all = Vec::new();
        self.visit_mut("", &mut |name, parameter| all.push((name.to_owned(), parameter)));
        all
    }

    /// The number of values of all parameters, running statistics included.
    fn parameter_count(&self) -> usize {
        let mut count = 0;
        self.visit("", &mut |_, parameter| count += parameter.value.len());
        count
    }
}

/// A layer or a network: a function of a value, with parameters.
///
/// The example of [this module's page](crate::module) implements it.
pub trait Module<B: Backend>: Parameters<B> {
    /// The output for `x`. Images are `[n, height, width, channels]`, rows `[n, values]`.
    ///
    /// # Errors
    /// Those of the operations: shapes that do not fit, the device.
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>>;

    /// The output for `x` in test mode, without a record for gradients.
    ///
    /// # Errors
    /// Those of [`forward`](Self::forward).
    fn predict(&self, x: Tensor<B>) -> Result<Tensor<B>> {
        Ok(self.forward(&Var::constant(x), &mut Pass::new(Mode::Test))?.into_value())
    }
}
