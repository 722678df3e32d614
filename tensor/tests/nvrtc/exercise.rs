//! Every operation with the shapes and settings of the built-in networks.

use alexnet_tensor::ops::Activation;
use alexnet_tensor::{Backend, Tensor};

/// Pictures of a step.
const BATCH: usize = 128;

/// The output of conv1 of the paper's network.
const CONV1: [usize; 4] = [BATCH, 55, 55, 96];

/// Activations.
fn flowing<B: Backend<Elem = f32>>(device: &B, shape: &[usize]) -> Tensor<B> {
    weights(device, shape).to_activations().expect("a cast")
}

/// Numbers in single precision.
fn weights<B: Backend<Elem = f32>>(device: &B, shape: &[usize]) -> Tensor<B> {
    Tensor::zeros(device, shape).expect("a buffer")
}

pub fn activation<B: Backend<Elem = f32>>(device: &B) -> alexnet_tensor::Result<()> {
    let x = flowing(device, &CONV1);
    for f in [Activation::Relu, Activation::Tanh, Activation::Logistic] {
        x.activation(f)?.activation_dx(f, &x)?;
    }
    x.to_vec()?;
    Ok(())
}
