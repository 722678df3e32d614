//! The results of a pass: gradients and running statistics, by parameter.

use std::collections::HashMap;

use tensor::{Backend, Tensor};

use super::{Parameter, ParameterId, Parameters};

/// The gradients of a module's parameters, from [`Pass::backward`](super::Pass::backward). The example of
/// [this module's page](crate::module) updates a module with them.
#[derive(Debug)]
pub struct ParameterGradients<B: Backend> {
    gradients: HashMap<ParameterId, Tensor<B>>,
    /// The new running statistics.
    pub statistics: Statistics<B>,
}

impl<B: Backend> ParameterGradients<B> {
    pub(super) fn new(gradients: HashMap<ParameterId, Tensor<B>>, statistics: Statistics<B>) -> Self {
        Self { gradients, statistics }
    }

    /// The gradient of a parameter, in its shape. None if the loss does not depend on it, and if it is not trained.
    pub fn get(&self, parameter: &Parameter<B>) -> Option<&Tensor<B>> {
        self.gradients.get(&parameter.id())
    }

    /// Like [`get`](Self::get), but moves the gradient out: a second call returns None.
    pub fn take(&mut self, parameter: &Parameter<B>) -> Option<Tensor<B>> {
        self.gradients.remove(&parameter.id())
    }

    /// Calls `f` with each parameter of `module` that has a gradient, its name and the gradient, then stores the new
    /// running statistics in the module.
    ///
    /// # Errors
    /// The first of `f`. Some parameters have been changed by then.
    pub fn update<E>(
        mut self,
        module: &mut (impl Parameters<B> + ?Sized),
        mut f: impl FnMut(&str, &mut Parameter<B>, Tensor<B>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        module.visit_mut("", &mut |name, parameter| {
            if outcome.is_ok()
                && let Some(gradient) = self.take(parameter)
            {
                outcome = f(name, parameter, gradient);
            }
        });
        outcome?;
        self.statistics.store(module);
        Ok(())
    }
}

/// New running statistics of a pass, such as the means of a batch norm. [`nn::BatchNorm`](crate::nn::BatchNorm) has an
/// example.
#[derive(Clone, Debug)]
pub struct Statistics<B: Backend>(HashMap<ParameterId, Tensor<B>>);

impl<B: Backend> Default for Statistics<B> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<B: Backend> Statistics<B> {
    /// The new value of a parameter. None if it is no running statistic, or kept its value.
    pub fn get(&self, parameter: &Parameter<B>) -> Option<&Tensor<B>> {
        self.0.get(&parameter.id())
    }

    pub(super) fn set(&mut self, id: ParameterId, value: Tensor<B>) {
        self.0.insert(id, value);
    }

    /// The number of new values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Stores the new values in the module's parameters.
    pub fn store(mut self, module: &mut (impl Parameters<B> + ?Sized)) {
        if self.is_empty() {
            return;
        }
        module.visit_mut("", &mut |_, parameter| {
            if let Some(value) = self.0.remove(&parameter.id()) {
                parameter.value = value;
            }
        });
    }
}
