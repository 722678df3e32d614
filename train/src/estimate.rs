//! An estimate of the speed of a training before its first step.

use layers::Model;
use tensor::ops::MatmulOptions;
use tensor::{Backend, Tensor};

use std::time::Instant;

/// Rows of the matrices whose product is timed: large enough for all threads, and done in milliseconds.
const ROWS: usize = 768;
/// A training step reaches about this share of the speed of a product, counted in the multiply-accumulates of direct
/// convolutions.
const SHARE: f64 = 0.6;
/// Forward, and backward to inputs and weights.
const PASSES: f64 = 3.0;

/// Images that a training takes per second, roughly: from the multiply-accumulates of the network and the time of a
/// matrix product, measured now in some milliseconds. `None` for devices that compile their kernels first.
pub fn images_per_s<B: Backend<Scalar = f32>>(device: &B, model: &Model) -> Option<f64> {
    if device.is_asynchronous() {
        return None;
    }
    let seconds = product_s(device).ok()?;
    let per_s = (ROWS as f64).powi(3) / seconds * SHARE;
    let macs: u64 = model.shapes().ok()?.iter().map(|shape| shape.macs).sum();
    (macs > 0).then(|| per_s / (PASSES * macs as f64))
}

/// Seconds of a product, the best of four.
fn product_s<B: Backend<Scalar = f32>>(device: &B) -> tensor::Result<f64> {
    let a = Tensor::full(device, &[ROWS, ROWS], 1.0)?;
    let b = Tensor::full(device, &[ROWS, ROWS], 0.5)?;
    let mut best = f64::INFINITY;
    for _ in 0..4 {
        let began = Instant::now();
        a.matmul_with(&b, MatmulOptions::default())?;
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(best)
}
