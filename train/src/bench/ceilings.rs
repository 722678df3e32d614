//! The ceilings of a device's roofline, measured.

use std::time::Instant;

use serde::Serialize;
use tensor::ops::MatmulOptions;
use tensor::{Backend, Tensor};

use crate::Result;

/// The ceilings of a roofline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ceilings {
    /// Of the product of two large square matrices of activations, in FLOP per second.
    pub matrix_flops_per_s: f64,
    /// Rows of those matrices.
    pub matrix_rows: usize,
    /// Of a large elementwise operation, in bytes read and written per second.
    pub copy_bytes_per_s: f64,
    /// Values in that operation.
    pub copy_len: usize,
    /// Seconds of the smallest kernel: a lower bound of every kernel.
    pub launch_s: f64,
}

/// A size is large enough if a call takes this many seconds, or all of the time given.
const LARGE_ENOUGH_S: f64 = 0.03;
const MATRIX_ROWS: [usize; 5] = [512, 1024, 2048, 4096, 8192];
const COPY_LENGTHS: [usize; 4] = [1 << 20, 1 << 22, 1 << 24, 1 << 26];

/// Measures the ceilings, each in about `seconds`, or in the time of the smallest sizes.
///
/// # Errors
/// Those of the device at the smallest sizes. It skips larger sizes that fail.
pub fn ceilings<B: Backend<Scalar = f32>>(device: &B, seconds: f64) -> Result<Ceilings> {
    let matrix = largest(device, seconds, &MATRIX_ROWS, |rows| {
        let [a, b] = [1.0, 0.5].map(|v| Tensor::full(device, &[rows, rows], v)?.to_activation_dtype());
        let a = a?;
        let b = b?;
        let options = MatmulOptions { transpose_b: true, ..MatmulOptions::default() };
        Ok(move || a.matmul_with(&b, options).map(|_| ()))
    })?;
    let copy = largest(device, seconds, &COPY_LENGTHS, |len| {
        let x = Tensor::full(device, &[len], 1.0)?;
        Ok(move || x.scale(1.5).map(|_| ()))
    })?;
    let one = Tensor::full(device, &[1], 1.0)?;
    let launch_s = best_of(device, 100, || one.scale(1.5).map(|_| ()))?;
    Ok(Ceilings {
        matrix_flops_per_s: 2.0 * (matrix.0 as f64).powi(3) / matrix.1,
        matrix_rows: matrix.0,
        copy_bytes_per_s: (2 * size_of::<f32>() * copy.0) as f64 / copy.1,
        copy_len: copy.0,
        launch_s,
    })
}

/// The largest size measured, and the seconds of a call.
fn largest<B: Backend, F: FnMut() -> tensor::Result<()>>(
    device: &B,
    seconds: f64,
    sizes: &[usize],
    prepare: impl Fn(usize) -> tensor::Result<F>,
) -> Result<(usize, f64)> {
    let mut found = None;
    for &size in sizes {
        let taken = prepare(size).and_then(|mut call| {
            call()?;
            let once = best_of(device, 1, &mut call)?;
            let repeats = (seconds.min(0.1) / once.max(1e-9)) as u32;
            best_of(device, repeats.clamp(1, 50), call)
        });
        match taken {
            Ok(taken) => found = Some((size, taken)),
            Err(_) if found.is_some() => break,
            Err(error) => return Err(error.into()),
        }
        if found.is_some_and(|(_, taken)| taken > LARGE_ENOUGH_S.min(seconds)) {
            break;
        }
    }
    // There is at least one size, and an error of the first has returned.
    Ok(found.unwrap_or((1, f64::INFINITY)))
}

/// Seconds of a call: the best mean of three series of `repeats` calls, each synchronised at its end.
fn best_of<B: Backend>(device: &B, repeats: u32, mut call: impl FnMut() -> tensor::Result<()>) -> tensor::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        device.synchronize()?;
        let at = Instant::now();
        for _ in 0..repeats {
            call()?;
        }
        device.synchronize()?;
        best = best.min(at.elapsed().as_secs_f64() / f64::from(repeats));
    }
    Ok(best)
}
