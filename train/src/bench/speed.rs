//! Benchmark of training and inference on synthetic images.

use std::time::Instant;

use layers::Model;
use serde::Serialize;
use tensor::Backend;

use super::synthetic::Synthetic;
use crate::Result;
use crate::config::Config;
use crate::memory::Resident;

/// Measurement of one batch size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Batch size.
    pub batch: usize,
    /// Images per second of the median step.
    pub images_per_s: f64,
    /// Seconds of the median step; on an asynchronous device, of a step in the median group of steps.
    pub step_s: f64,
    /// Number of steps measured.
    pub steps: usize,
    /// Peak memory of the process in MiB, if the system reports it.
    pub peak_mib: Option<u64>,
    /// Memory in use on the device at the end, by all processes, in MiB, if it reports it.
    pub device_mib: Option<u64>,
}

/// Measures training steps on synthetic images that stay on the device: forward, loss, backward, update.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for a batch that does not fit a device's own memory; errors of the network and
/// the device.
pub fn train<B: Backend<Scalar = f32>>(device: &B, model: &Model, config: &Config, seconds: f64) -> Result<Speed> {
    let mut synthetic = Synthetic::training(device, model, config)?;
    speed(device, config.run.batch, seconds, || synthetic.train())
}

/// Measures inference on synthetic images that stay on the device.
///
/// # Errors
/// As [`train`].
pub fn predict<B: Backend<Scalar = f32>>(device: &B, model: &Model, config: &Config, seconds: f64) -> Result<Speed> {
    let synthetic = Synthetic::predicting(device, model, config)?;
    speed(device, config.run.batch, seconds, || synthetic.predict())
}

fn speed<B: Backend>(device: &B, batch: usize, seconds: f64, step: impl FnMut() -> Result<()>) -> Result<Speed> {
    let (step_s, steps) = median_step(device, seconds, step)?;
    let memory = device.memory().filter(|memory| !memory.is_host);
    let used = memory.map(|memory| memory.total.saturating_sub(memory.free) >> 20);
    Ok(Speed { batch, images_per_s: batch as f64 / step_s, step_s, steps, peak_mib: peak_mib(), device_mib: used })
}

/// Steps before the measurement: they compile kernels and allocate memory.
const WARM_UP: usize = 2;
/// Number of groups of steps on an asynchronous device.
const GROUPS: usize = 8;
/// Maximum number of steps in a group.
const MAX_QUEUED: usize = 64;

/// Median seconds of a step, measured for about `seconds`, and the number of steps: at least three groups.
pub(super) fn median_step<B: Backend>(
    device: &B,
    seconds: f64,
    step: impl FnMut() -> Result<()>,
) -> Result<(f64, usize)> {
    let start = Instant::now();
    median_step_by(device, seconds, step, || start.elapsed().as_secs_f64())
}

/// [`median_step`] by a clock that gives seconds.
fn median_step_by<B: Backend>(
    device: &B,
    seconds: f64,
    mut step: impl FnMut() -> Result<()>,
    clock: impl Fn() -> f64,
) -> Result<(f64, usize)> {
    let mut time_group = |steps: usize| -> Result<f64> {
        let start = clock();
        for _ in 0..steps {
            step()?;
        }
        device.synchronize()?;
        Ok((clock() - start) / steps as f64)
    };
    time_group(WARM_UP)?;
    let length =
        if device.is_asynchronous() { (seconds / GROUPS as f64 / time_group(1)?.max(1e-9)) as usize } else { 1 };
    let length = length.clamp(1, MAX_QUEUED);
    let mut times = Vec::new();
    let start = clock();
    while times.len() < 3 || clock() - start < seconds {
        times.push(time_group(length)?);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[times.len() / 2], times.len() * length))
}

/// Peak memory of the process, in MiB.
fn peak_mib() -> Option<u64> {
    Resident::now().map(|resident| resident.peak >> 20)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tensor::Cpu;

    use super::*;

    #[test]
    fn the_median_step_is_measured_after_the_first() {
        let cpu = Cpu::<f32>::new(1).unwrap();
        let mut calls = 0;
        let now = Cell::new(0.0);
        let step = || {
            calls += 1;
            // The first two are slow, and so is one in three of the others.
            let seconds = if calls <= 2 || calls % 3 == 0 { 40.0 } else { 4.0 };
            now.set(now.get() + seconds);
            Ok(())
        };
        let measured = median_step_by(&cpu, 200.0, step, || now.get()).unwrap();
        // Of 3 steps in turn, one takes 40 seconds and two take 4: 200 seconds are over after 13.
        assert_eq!(measured, (4.0, 13));
        assert_eq!(calls, 15);
    }

    #[test]
    fn an_error_ends_it() {
        let cpu = Cpu::<f32>::new(1).unwrap();
        let refuse = || Err(crate::Error::setting("run.batch", "no"));
        let error = median_step(&cpu, 10.0, refuse).unwrap_err();
        assert_eq!(error.to_string(), "run.batch: no");
    }
}
