//! Parameters from files, checked.

use ndarray::ArrayD;
use tensor::Backend;

use super::Network;
use crate::model::{Layout, Model};
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

    /// Rounds the weights of the fully connected layers, for prediction, to the type in which the device stores such ones:
    /// 8 bits on a CPU of [`Precision::Int8`](tensor::Precision::Int8), otherwise no change.
    ///
    /// ```
    /// use alexnet_layers::tensor::{Cpu, Precision, Tensor};
    /// use alexnet_layers::{Model, Network};
    ///
    /// let cpu = Cpu::<f32>::new(1)?.with_precision(Precision::Int8)?;
    /// let mut network = Network::new(&cpu, &Model::preset("cifar-18pct")?, 1)?;
    /// network.to_weight_dtype()?;
    /// let logits = network.predict(Tensor::full(&cpu, &[1, 32, 32, 3], 0.5)?)?;
    /// assert_eq!(logits.shape(), [1, 10]);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the device.
    pub fn to_weight_dtype(&mut self) -> Result<()> {
        for parameter in &mut self.parameters {
            let is_linear = matches!(parameter.spec.layout, Layout::Linear | Layout::LinearAfterFlatten { .. });
            if is_linear && parameter.spec.shape.len() == 2 {
                parameter.value = parameter.value.to_weight_dtype()?;
            }
        }
        Ok(())
    }

    /// Sets all parameters, in this crate's names and layouts, in any order. If one does not fit, none is set.
    ///
    /// # Errors
    /// Those of [`with_parameters`](Self::with_parameters).
    pub fn set_parameters(&mut self, origin: &str, values: &[(String, ArrayD<f32>)]) -> Result<()> {
        set_values(self, origin, values)
    }
}
