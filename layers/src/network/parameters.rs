//! Parameters from files, checked.

use ndarray::ArrayD;
use tensor::Backend;

use super::Network;
use crate::model::Model;
use crate::module::{matched, set_values, upload};
use crate::{Parameter, Result};

impl<B: Backend> Network<B> {
    /// The network of a model with these parameters, in this crate's names and layouts, in any order.
    ///
    /// # Errors
    /// [`Error::Parameters`](crate::Error::Parameters) that names `origin` and lists all parameters that are missing, extra
    /// or of another shape. Those of [`new`](Self::new).
    pub fn with_parameters(device: &B, model: &Model, origin: &str, values: &[(String, ArrayD<f32>)]) -> Result<Self> {
        let specs = model.parameters()?;
        let expected: Vec<_> = specs.iter().map(|spec| (spec.name.as_str(), spec.shape.as_slice())).collect();
        let tensors = matched(&expected, origin, values)?.into_iter().map(|value| upload(device, value));
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        let parameters = specs.into_iter().zip(tensors).map(|(spec, value)| Parameter::new(spec, value)).collect();
        Self::from_parts(device, model, parameters)
    }

    /// Sets all parameters, in this crate's names and layouts, in any order. If one does not fit, none is set.
    ///
    /// # Errors
    /// Those of [`with_parameters`](Self::with_parameters).
    pub fn set_parameters(&mut self, origin: &str, values: &[(String, ArrayD<f32>)]) -> Result<()> {
        set_values(self, origin, values)
    }
}
