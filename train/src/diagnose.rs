//! Location of values that are not finite.

use layers::{Network, Parameters};
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

/// The first parameter of a module with a value that is not finite, else the loss.
pub(crate) fn place_of_loss<B: Backend, M: Parameters<B> + ?Sized>(module: &M) -> Result<String> {
    Ok(parameter_not_finite(module)?.map_or("the loss".to_string(), |name| format!("parameter {name}")))
}

/// The name of the first parameter with a value that is not finite.
pub(crate) fn parameter_not_finite<B: Backend, M: Parameters<B> + ?Sized>(module: &M) -> Result<Option<String>> {
    let parameters = module.named_parameters();
    let flags = parameters.iter().map(|(_, p)| p.value.all_finite_flag()).collect::<tensor::Result<Vec<_>>>()?;
    let (_, flags) = read_all::<B>(&[], &flags.iter().collect::<Vec<_>>())?;
    let position = flags.iter().position(|flag| flag != &[1]);
    Ok(position.map(|number| parameters[number].0.clone()))
}
