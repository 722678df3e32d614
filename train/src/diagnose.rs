//! Where a run went wrong.

use layers::{Network, Parameter};
use tensor::{Backend, Tensor, read_all};

use crate::Result;

/// The first place, in order of the network, that holds a value which is not finite.
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

/// The first parameter that holds a value which is not finite.
pub(crate) fn parameter_not_finite<B: Backend>(network: &Network<B>) -> Result<Option<String>> {
    let flag = |parameter: &Parameter<B>| parameter.value.all_finite_flag();
    let flags = network.parameters().iter().map(flag).collect::<tensor::Result<Vec<_>>>()?;
    let (_, flags) = read_all::<B>(&[], &flags.iter().collect::<Vec<_>>())?;
    let broken = flags.iter().position(|flag| flag != &[1]);
    Ok(broken.map(|number| network.parameters()[number].spec.name.clone()))
}
