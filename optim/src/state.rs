//! The state of each parameter, and its form in a checkpoint.

use std::collections::BTreeMap;

use tensor::{Backend, Tensor};

use crate::{Error, Result, UpdateRule};

/// State of an optimizer, for a checkpoint.
#[derive(Clone, Debug)]
pub struct State<B: Backend> {
    /// Steps taken so far.
    pub steps: u64,
    /// Tensors by name, sorted: for each parameter updated so far, those of its rule. SGD has `momentum/NAME`; Adam has
    /// `adam.m/NAME`, `adam.v/NAME` and `adam.t/NAME` (shape `[1]`: the number of updates of the parameter).
    pub tensors: Vec<(String, Tensor<B>)>,
}

/// A count is stored as a float, of f32 or more. From this count on, Adam's bias correction is 1 in any case.
const MAX_STORED_COUNT: u64 = 1 << 24;

/// State of one parameter.
#[derive(Clone, Debug)]
pub(crate) struct Slot<B: Backend> {
    /// In the order of [`UpdateRule::state`].
    pub tensors: Vec<Tensor<B>>,
    /// Updates so far.
    pub count: u64,
    device: B,
}

impl<B: Backend> Slot<B> {
    pub fn new(rule: &dyn UpdateRule<B>, value: &Tensor<B>) -> tensor::Result<Self> {
        let zeros = |_| Tensor::zeros(value.device(), value.shape());
        let tensors = rule.state().iter().map(zeros).collect::<tensor::Result<_>>()?;
        Ok(Self { tensors, count: 0, device: value.device().clone() })
    }

    pub fn has_shape(&self, shape: &[usize]) -> bool {
        self.tensors.iter().all(|tensor| tensor.shape() == shape)
    }

    /// Fails if a tensor does not have the shape of its parameter.
    pub fn check(&self, rule: &dyn UpdateRule<B>, parameter: &str, shape: &[usize]) -> Result<()> {
        let mut tensors = rule.state().iter().zip(&self.tensors);
        let Some((what, tensor)) = tensors.find(|(_, tensor)| tensor.shape() != shape) else { return Ok(()) };
        Err(Error::Shape {
            parameter: parameter.into(),
            what: (*what).into(),
            expected: shape.to_vec(),
            got: tensor.shape().to_vec(),
        })
    }

    /// Adds the tensors to a checkpoint. They share memory with the optimizer's until the next step.
    pub fn save(&self, rule: &dyn UpdateRule<B>, parameter: &str, to: &mut BTreeMap<String, Tensor<B>>) -> Result<()> {
        for (name, tensor) in rule.state().iter().zip(&self.tensors) {
            to.insert(format!("{name}/{parameter}"), tensor.clone());
        }
        let Some(name) = rule.count() else { return Ok(()) };
        let count = Tensor::full(&self.device, &[1], self.count.min(MAX_STORED_COUNT) as f64);
        let count = count.map_err(|source| Error::Tensor { parameter: parameter.into(), source })?;
        to.insert(format!("{name}/{parameter}"), count);
        Ok(())
    }

    /// Takes the tensors of a parameter on `device` out of those of a checkpoint.
    pub fn restore(
        rule: &dyn UpdateRule<B>,
        parameter: &str,
        device: B,
        from: &mut BTreeMap<String, Tensor<B>>,
    ) -> Result<Self> {
        let mut take = |name: &str| {
            let name = format!("{name}/{parameter}");
            match from.remove(&name) {
                Some(tensor) => Ok((name, tensor)),
                None => Err(Error::state(name, "missing, though other tensors of its parameter exist")),
            }
        };
        let mut tensors = Vec::new();
        for name in rule.state() {
            tensors.push(take(name)?.1);
        }
        let count = match rule.count() {
            Some(name) => take(name).and_then(|(name, stored)| count(&name, &stored))?,
            None => 0,
        };
        Ok(Self { tensors, count, device })
    }
}

/// The parameter of a tensor in a checkpoint, if the rule can have such a tensor.
pub(crate) fn parameter_of<'a, B: Backend>(rule: &dyn UpdateRule<B>, tensor: &'a str) -> Option<&'a str> {
    let (name, parameter) = tensor.split_once('/')?;
    (rule.state().contains(&name) || rule.count() == Some(name)).then_some(parameter)
}

/// The error of a tensor that the rule does not have.
pub(crate) fn unexpected_tensor<B: Backend>(rule: &dyn UpdateRule<B>, tensor: String) -> Error {
    let names: Vec<String> = rule.state().iter().copied().chain(rule.count()).map(|name| format!("{name}/")).collect();
    let names = match names.split_last() {
        Some((last, [])) => format!("named {last}..."),
        Some((last, others)) => format!("named {} or {last}...", others.join(", ")),
        None => "of no name".into(),
    };
    let kind = rule.name();
    Error::state(
        tensor,
        format!("optimizer `{kind}` keeps only tensors {names}; resume with the optimizer that wrote it"),
    )
}

/// Reads a count, which is stored as a tensor.
fn count<B: Backend>(name: &str, stored: &Tensor<B>) -> Result<u64> {
    let value = stored.scalar().map_err(|source| Error::Tensor { parameter: name.into(), source })?;
    if (1.0..=MAX_STORED_COUNT as f64).contains(&value) && value.fract() == 0.0 {
        return Ok(value as u64);
    }
    Err(Error::state(name, format!("expected a whole number from 1 to {MAX_STORED_COUNT}, got {value}")))
}

/// Fails if names of state cannot be told apart in a checkpoint.
pub(crate) fn check_names<B: Backend>(rule: &dyn UpdateRule<B>) -> Result<()> {
    let names: Vec<&str> = rule.state().iter().copied().chain(rule.count()).collect();
    let is_good = |i: usize| !names[i].is_empty() && !names[i].contains('/') && !names[..i].contains(&names[i]);
    match (0..names.len()).find(|&i| !is_good(i)) {
        None => Ok(()),
        Some(i) => {
            let setting = format!("name of state of `{}`", rule.name());
            Err(Error::setting(setting, "unique, not empty and without a slash", names[i]))
        }
    }
}
