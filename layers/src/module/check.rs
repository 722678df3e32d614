//! The gradient check of a module.

use tensor::ndarray::ArrayD;

use super::{Parameters, Pass};
use crate::gradient_check::{Device, GradientCheck, Report};
use crate::network::Mode;
use crate::{Result, Var};

impl GradientCheck {
    /// Checks the gradients of a module's trained parameters. `f` builds a scalar with the module in a pass; it must give
    /// the same value for the same parameters.
    ///
    /// ```
    /// use alexnet_layers::gradient_check::{Device, GradientCheck, projection};
    /// use alexnet_layers::nn::{Initializer, Linear};
    /// use alexnet_layers::tensor::{Tensor, random::Stream};
    /// use alexnet_layers::{Mode, Module, Var};
    ///
    /// let device = Device::new(1)?;
    /// let linear = Linear::new(&mut Initializer::new(&device, 1), &[3], 2)?;
    /// let x = Var::constant(Tensor::normal(&device, &[4, 3], 0.0, 1.0, Stream::new(1, 1, 0))?);
    /// let report = GradientCheck::default().run_module(&linear, Mode::Train { seed: 1, step: 0 }, |pass| {
    ///     let y = linear.forward(&x, pass)?;
    ///     projection(&mut pass.tape, &y)
    /// })?;
    /// report.within(1e-6)?;
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn run_module(
        &self,
        module: &(impl Parameters<Device> + ?Sized),
        mode: Mode,
        f: impl Fn(&mut Pass<Device>) -> Result<Var<Device>>,
    ) -> Result<Report> {
        let mut named = module.named_parameters();
        named.retain(|(_, parameter)| parameter.spec.is_trainable());
        let values: Vec<ArrayD<f64>> =
            named.iter().map(|(_, parameter)| parameter.value.to_array()).collect::<tensor::Result<_>>()?;
        let parameters: Vec<(&str, ArrayD<f64>)> =
            named.iter().zip(values).map(|((name, _), value)| (name.as_str(), value)).collect();
        self.run(&parameters, |tape, variables| {
            let mut pass = Pass::with_tape(std::mem::take(tape), mode);
            for ((_, parameter), variable) in named.iter().zip(variables) {
                pass.bind(parameter, variable.clone());
            }
            let loss = f(&mut pass)?;
            *tape = pass.tape;
            Ok(loss)
        })
    }
}
