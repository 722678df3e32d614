//! Layers one after another.

use std::fmt;

use tensor::Backend;

use crate::{Module, Parameter, Parameters, Pass, Result, Var};

/// Modules one after another, numbered from 0 in the names of their parameters.
///
/// ```
/// use alexnet_layers::nn::{Initializer, Linear, Sequential};
/// use alexnet_layers::tensor::ops::Activation;
/// use alexnet_layers::tensor::{Cpu, Tensor};
/// use alexnet_layers::{Module, Parameters};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut init = Initializer::new(&cpu, 1);
/// let network = Sequential::new()
///     .then(Linear::new(&mut init, &[784], 100)?)
///     .then(Activation::Relu)
///     .then(Linear::new(&mut init, &[100], 10)?);
/// assert_eq!(network.named_parameters()[2].0, "2.weight");
/// assert_eq!(network.predict(Tensor::zeros(&cpu, &[5, 784])?)?.shape(), [5, 10]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
pub struct Sequential<B: Backend> {
    modules: Vec<Box<dyn Module<B> + Send + Sync>>,
}

impl<B: Backend> Default for Sequential<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Backend> Sequential<B> {
    /// No modules: the output is the input.
    pub fn new() -> Self {
        Self { modules: Vec::new() }
    }

    /// The same modules, and one more at the end.
    pub fn then(mut self, module: impl Module<B> + Send + Sync + 'static) -> Self {
        self.modules.push(Box::new(module));
        self
    }

    /// The number of modules.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

impl<B: Backend> Parameters<B> for Sequential<B> {
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>)) {
        self.modules.visit(prefix, f);
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {
        self.modules.visit_mut(prefix, f);
    }
}

impl<B: Backend> Module<B> for Sequential<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        let mut x = x.clone();
        for module in &self.modules {
            x = module.forward(&x, pass)?;
        }
        Ok(x)
    }
}

impl<B: Backend> fmt::Debug for Sequential<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes = self.named_parameters().into_iter().map(|(name, parameter)| (name, parameter.value.shape()));
        f.debug_map().entries(shapes).finish()
    }
}
