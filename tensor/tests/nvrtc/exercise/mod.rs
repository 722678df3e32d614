//! Every operation with the shapes and settings of the built-in networks.

mod products;
mod values;

use alexnet_tensor::{Backend, IntTensor, Tensor};

pub use products::{conv2d, linear, local2d};
pub use values::{
    activation, adaptive_pool, batch_norm, crop_and_normalize, cross_entropy, dropout, elementwise, lrn, lrn_pool,
    pool, reduce, reduce_axes, sample, strided, unary, update,
};

type Result = alexnet_tensor::Result<()>;

/// Batch sizes of training steps and of a prediction.
const BATCHES: [usize; 3] = [128, 1024, 1];
const BATCH: usize = BATCHES[0];

/// Weights, statistics and the like, in single precision in every mode.
fn weights<B: Backend<Scalar = f32>>(device: &B, shape: &[usize]) -> Tensor<B> {
    Tensor::zeros(device, shape).expect("a buffer")
}

/// Activations or their gradients, in the dtype of activations.
fn activations<B: Backend<Scalar = f32>>(device: &B, shape: &[usize]) -> Tensor<B> {
    weights(device, shape).to_activation_dtype().expect("a cast")
}

fn ints<B: Backend>(device: &B, len: usize) -> IntTensor<B> {
    IntTensor::from_slice(device, &vec![0; len]).expect("an upload")
}
