//! Location of values that are not finite.

use layers::{Network, Parameter};
use tensor::{Backend, Tensor, read_all};

use crate::Result;

/// The first tensor, in the order of the network, with a value that is not finite.
pub(crate) fn first_not_finite<B: Backend>(network: &Network<B>, images: Tensor<B>) -> Result<String> {
    if !images.all_finite()? {
        return Ok("the images".into());
    }
    if let Some(name) = parameter_not_finite(network)? {
        return Ok(format!("parameter {name}"));
    }
    for layer in &network.model().layers {
        if !network.activations(images.clone(), &layer.name)?.all_finite()? {
            return Ok(format!("the output of layer {}", layer.name));
        }
    }
    Ok("the loss".into())
}

/// The first parameter with a value that is not finite.
pub(crate) fn parameter_not_finite<B: Backend>(network: &Network<B>) -> Result<Option<String>> {
    let flag = |parameter: &Parameter<B>| parameter.value.all_finite_flag();
    let flags = network.parameters().iter().map(flag).collect::<tensor::Result<Vec<_>>>()?;
    let (_, flags) = read_all::<B>(&[], &flags.iter().collect::<Vec<_>>())?;
    let position = flags.iter().position(|flag| flag != &[1]);
    Ok(position.map(|number| network.parameters()[number].spec.name.clone()))
}
