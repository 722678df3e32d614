//! A module's parameters as arrays on the host.

use std::collections::HashMap;

use ndarray::ArrayD;
use tensor::{Backend, Element, Tensor};

use super::Parameters;
use crate::Result;
use crate::model::compare;

/// The names and values of a module's parameters, in single precision.
///
/// ```
/// use alexnet_layers::module::{set_values, values};
/// use alexnet_layers::nn::{Initializer, Linear};
/// use alexnet_layers::tensor::Cpu;
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let [one, mut two] = [1, 2].map(|seed| Linear::new(&mut Initializer::new(&cpu, seed), &[3], 2).unwrap());
/// set_values(&mut two, "layer one", &values(&one)?)?;
/// assert_eq!(values(&two)?, values(&one)?);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
///
/// # Errors
/// Those of the device.
pub fn values<B: Backend>(module: &(impl Parameters<B> + ?Sized)) -> Result<Vec<(String, ArrayD<f32>)>> {
    let named = module.named_parameters().into_iter();
    named.map(|(name, parameter)| Ok((name, parameter.value.to_array()?.mapv(|v| v.f64() as f32)))).collect()
}

/// Sets all parameters of a module, by name, in any order. If one does not fit, none is set.
///
/// # Errors
/// [`Error::Parameters`](crate::Error::Parameters) that names `origin` and lists all parameters that are missing, extra or
/// of another shape; those of the device.
pub fn set_values<B: Backend>(
    module: &mut (impl Parameters<B> + ?Sized),
    origin: &str,
    values: &[(String, ArrayD<f32>)],
) -> Result<()> {
    let mut named = module.named_parameters_mut();
    let expected: Vec<(&str, &[usize])> =
        named.iter().map(|(name, parameter)| (name.as_str(), parameter.value.shape())).collect();
    let matched = matched(&expected, origin, values)?;
    let tensors = named.iter().zip(matched).map(|((_, parameter), value)| upload(parameter.value.device(), value));
    let tensors: Vec<Tensor<B>> = tensors.collect::<Result<_>>()?;
    for ((_, parameter), tensor) in named.iter_mut().zip(tensors) {
        parameter.value = tensor;
    }
    Ok(())
}

/// The array on the device, in its number type.
pub(crate) fn upload<B: Backend>(device: &B, value: &ArrayD<f32>) -> Result<Tensor<B>> {
    let values: Vec<B::Scalar> = value.iter().map(|&v| Element::of(f64::from(v))).collect();
    Ok(Tensor::from_slice(device, value.shape(), &values)?)
}

/// The value of each name, which has the shape that is expected of it, in order.
pub(crate) fn matched<'v>(
    expected: &[(&str, &[usize])],
    origin: &str,
    values: &'v [(String, ArrayD<f32>)],
) -> Result<Vec<&'v ArrayD<f32>>> {
    compare(origin, expected, values.iter().map(|(name, value)| (name.as_str(), value.shape())))?;
    let by_name: HashMap<&str, &ArrayD<f32>> = values.iter().map(|(name, value)| (name.as_str(), value)).collect();
    // `compare` has found every name.
    Ok(expected.iter().filter_map(|(name, _)| by_name.get(name).copied()).collect())
}
