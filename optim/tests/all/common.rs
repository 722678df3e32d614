//! Helpers of the tests.

use alexnet_optim::{Optimizer, Result, Update};
use tensor::{Cpu, Tensor};

/// The device that the tests compute on.
pub fn cpu() -> Cpu<f64> {
    Cpu::new(1).unwrap()
}

/// A vector on the device.
pub fn vector(values: &[f64]) -> Tensor<Cpu<f64>> {
    Tensor::from_slice(&cpu(), &[values.len()], values).unwrap()
}

/// One step of a single parameter `w` with multipliers of 1.
pub fn step(optimizer: &mut Optimizer<Cpu<f64>>, rate: f64, w: &mut Tensor<Cpu<f64>>, g: &[f64]) -> Result<()> {
    let gradient = vector(g);
    optimizer.step(rate, vec![Update::new("w", w, &gradient)])
}

/// Fails where the two differ by more than `tolerance` of their size.
#[track_caller]
pub fn assert_close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= tolerance * e.abs().max(1e-3), "value {i}: got {g}, expected {e}");
    }
}
