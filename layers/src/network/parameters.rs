//! Parameters from outside, checked.

use std::collections::HashMap;

use ndarray::ArrayD;
use tensor::{Backend, Element, Tensor};

use super::Network;
use crate::model::{Model, Parameter, ParameterSpec};
use crate::{Error, Result};

impl<B: Backend> Network<B> {
    /// The network of a model with these parameters, by our names and in our layouts, in any order.
    ///
    /// # Errors
    /// [`Error::Parameters`] that lists all that are missing, extra or of another shape; `origin` says where they came
    /// from. Those of [`new`](Self::new).
    pub fn with_parameters(device: &B, model: &Model, origin: &str, values: &[(String, ArrayD<f32>)]) -> Result<Self> {
        let specs = model.parameters()?;
        let values = matched(specs.iter(), origin, values)?;
        let upload = |(spec, value)| Ok(Parameter { spec, value: uploaded(device, value)? });
        let parameters = specs.into_iter().zip(values).map(upload).collect::<Result<_>>()?;
        Ok(Self { device: device.clone(), model: model.clone(), parameters })
    }

    /// Sets all parameters, by our names and in our layouts, in any order; none if one does not fit.
    ///
    /// # Errors
    /// As [`with_parameters`](Self::with_parameters).
    pub fn set_parameters(&mut self, origin: &str, values: &[(String, ArrayD<f32>)]) -> Result<()> {
        let matched = matched(self.parameters.iter().map(|p| &p.spec), origin, values)?;
        let tensors: Vec<_> = matched.into_iter().map(|value| uploaded(&self.device, value)).collect::<Result<_>>()?;
        for (parameter, tensor) in self.parameters.iter_mut().zip(tensors) {
            parameter.value = tensor;
        }
        Ok(())
    }
}

fn uploaded<B: Backend>(device: &B, value: &ArrayD<f32>) -> Result<Tensor<B>> {
    let values: Vec<B::Elem> = value.iter().map(|&v| Element::of(f64::from(v))).collect();
    Ok(Tensor::from_slice(device, value.shape(), &values)?)
}

/// The value of each specification, in order.
fn matched<'s, 'v>(
    specs: impl Iterator<Item = &'s ParameterSpec>,
    origin: &str,
    values: &'v [(String, ArrayD<f32>)],
) -> Result<Vec<&'v ArrayD<f32>>> {
    let mut left: HashMap<&str, &ArrayD<f32>> = HashMap::with_capacity(values.len());
    let mut extra: Vec<String> = Vec::new();
    for (name, value) in values {
        if left.insert(name, value).is_some() {
            extra.push(format!("{name} (given twice)"));
        }
    }
    let (mut missing, mut mismatched, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for spec in specs {
        match left.remove(spec.name.as_str()) {
            None => missing.push(spec.name.clone()),
            Some(value) if value.shape() != spec.shape => {
                mismatched.push((spec.name.clone(), spec.shape.clone(), value.shape().to_vec()));
            }
            Some(value) => found.push(value),
        }
    }
    // In the order they came, not the map's.
    extra.extend(values.iter().filter(|(name, _)| left.remove(name.as_str()).is_some()).map(|(name, _)| name.clone()));
    if missing.is_empty() && extra.is_empty() && mismatched.is_empty() {
        return Ok(found);
    }
    Err(Error::Parameters { origin: origin.into(), missing, extra, mismatched })
}
