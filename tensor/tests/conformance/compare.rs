//! Tensors on the device under test, and comparisons with exact results.

use alexnet_tensor::{Backend, IntTensor, Tensor};

pub use crate::support::tensor64 as exact;

/// Uploads activations or their gradients, rounded to the number format of activations.
pub fn activations<B: Backend<Scalar = f32>>(device: &B, shape: &[usize], x: &[f64]) -> Tensor<B> {
    weights(device, shape, x).to_activation_dtype().expect("a cast")
}

/// Uploads weights, statistics and the like, which are single precision on every device.
pub fn weights<B: Backend<Scalar = f32>>(device: &B, shape: &[usize], x: &[f64]) -> Tensor<B> {
    let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
    Tensor::from_slice(device, shape, &x).expect("as many values as the shape holds")
}

/// Uploads integers.
pub fn ints_on<B: Backend>(device: &B, x: &[u32]) -> IntTensor<B> {
    IntTensor::from_slice(device, x).expect("an upload")
}

/// Downloads a tensor.
pub fn host<B: Backend<Scalar = f32>>(tensor: &Tensor<B>) -> Vec<f64> {
    tensor.to_vec().expect("a download").into_iter().map(f64::from).collect()
}

/// Downloads a tensor as bits, for comparisons that tell NaN and -0 apart.
pub fn bits<B: Backend<Scalar = f32>>(tensor: &Tensor<B>) -> Vec<u32> {
    tensor.to_vec().expect("a download").into_iter().map(f32::to_bits).collect()
}

/// Fails if a result differs from the exact one by more than `tolerance` times its scale: the sum of the absolute
/// values of its terms, which may cancel.
pub fn assert_near(got: &[f64], exact: &[f64], scale: impl Fn(usize) -> f64, tolerance: f64) {
    assert_eq!(got.len(), exact.len());
    for (i, (g, e)) in got.iter().zip(exact).enumerate() {
        let scale = scale(i);
        assert!((g - e).abs() <= tolerance * scale, "value {i}: got {g:e}, exact {e:e}, scale {scale:e}");
    }
}
