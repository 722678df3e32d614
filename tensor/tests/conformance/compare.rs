//! How near a device must come.

use alexnet_tensor::{Backend, IntTensor, Tensor};

/// Activations and their gradients: uploaded and rounded to the type that flows between layers.
pub fn flowing<B: Backend<Scalar = f32>>(device: &B, shape: &[usize], x: &[f64]) -> Tensor<B> {
    on(device, shape, x).to_activation_dtype().expect("a cast")
}

/// Weights, statistics and the like: single precision everywhere.
pub fn on<B: Backend<Scalar = f32>>(device: &B, shape: &[usize], x: &[f64]) -> Tensor<B> {
    let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
    Tensor::from_slice(device, shape, &x).expect("as many values as the shape holds")
}

pub fn ints_on<B: Backend>(device: &B, x: &[u32]) -> IntTensor<B> {
    IntTensor::from_slice(device, x).expect("an upload")
}

pub fn host<B: Backend<Scalar = f32>>(tensor: &Tensor<B>) -> Vec<f64> {
    tensor.to_vec().expect("a download").into_iter().map(f64::from).collect()
}

pub use crate::support::tensor64 as exact;

/// Fails where a result is further from the exact one than `tolerance` of its scale: what the terms' absolute values
/// add up to, since they may cancel.
pub fn assert_near(got: &[f64], exact: &[f64], scale: impl Fn(usize) -> f64, tolerance: f64) {
    assert_eq!(got.len(), exact.len());
    for (i, (g, e)) in got.iter().zip(exact).enumerate() {
        let scale = scale(i);
        assert!((g - e).abs() <= tolerance * scale, "value {i}: got {g:e}, exact {e:e}, scale {scale:e}");
    }
}
