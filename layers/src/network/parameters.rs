//! Parameters from files, checked.

use std::collections::HashMap;

use ndarray::ArrayD;
use tensor::{Backend, Element, Tensor};

use super::Network;
use crate::Result;
use crate::model::{Model, Parameter, ParameterSpec, compare};

impl<B: Backend> Network<B> {
    /// The network of a model with these parameters, in this crate's names and layouts, in any order.
    ///
    /// # Errors
    /// [`Error::Parameters`](crate::Error::Parameters) that names `origin` and lists all parameters that are missing, extra
    /// or of another shape. Those of [`new`](Self::new).
    pub fn with_parameters(device: &B, model: &Model, origin: &str, values: &[(String, ArrayD<f32>)]) -> Result<Self> {
        let specs = model.parameters()?;
        let values = matched(specs.iter(), origin, values)?;
        let upload = |(spec, value)| Ok(Parameter { spec, value: uploaded(device, value)? });
        let parameters = specs.into_iter().zip(values).map(upload).collect::<Result<_>>()?;
        Self::from_parts(device, model, parameters)
    }

    /// Sets all parameters, in this crate's names and layouts, in any order. If one does not fit, none is set.
    ///
    /// # Errors
    /// Those of [`with_parameters`](Self::with_parameters).
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
    let values: Vec<B::Scalar> = value.iter().map(|&v| Element::of(f64::from(v))).collect();
    Ok(Tensor::from_slice(device, value.shape(), &values)?)
}

/// The value of each specification, in order.
fn matched<'s, 'v>(
    specs: impl Iterator<Item = &'s ParameterSpec>,
    origin: &str,
    values: &'v [(String, ArrayD<f32>)],
) -> Result<Vec<&'v ArrayD<f32>>> {
    let specs: Vec<&ParameterSpec> = specs.collect();
    let expected: Vec<_> = specs.iter().map(|spec| (spec.name.as_str(), spec.shape.clone())).collect();
    compare(origin, &expected, values.iter().map(|(name, value)| (name.as_str(), value.shape())))?;
    let by_name: HashMap<&str, &ArrayD<f32>> = values.iter().map(|(name, value)| (name.as_str(), value)).collect();
    // `compare` has found every name.
    Ok(specs.iter().filter_map(|spec| by_name.get(spec.name.as_str()).copied()).collect())
}
