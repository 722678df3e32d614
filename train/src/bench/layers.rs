//! Profile of a step by layer: the time of each kernel relative to the roofline.

use std::time::{Duration, Instant};

use layers::Model;
use serde::Serialize;
use tensor::profiled::{Call, Profiled};
use tensor::{Backend, Device};

use super::ceilings::{Ceilings, ceilings};
use super::speed::median_step;
use super::synthetic::Synthetic;
use crate::Result;
use crate::config::Config;

/// The ceiling that bounds a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// FLOP per second.
    Matrix,
    /// Memory bandwidth.
    Copy,
    /// Launch overhead: the kernel is too small for the others.
    Launch,
}

/// Calls of one kernel for one layer in one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Name of the layer, or `loss` or `update`.
    pub layer: String,
    /// The kernel.
    pub kernel: &'static str,
    /// Number of calls.
    pub calls: usize,
    /// Seconds of all calls.
    pub seconds: f64,
    /// FLOP of all calls by the definition of the operation; 0 for operations that memory always bounds.
    pub flops: f64,
    /// FLOP executed: fewer with a fast algorithm, whose transforms are not counted.
    pub done: f64,
    /// Minimum of bytes moved: each operand and result once.
    pub bytes: u64,
    /// The nearer ceiling.
    pub bound: Bound,
    /// Time at the ceiling divided by the measured time: 1 is at the roofline. More is possible for data in caches.
    pub share: f64,
}

/// Profile of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layers {
    /// Batch size.
    pub batch: usize,
    /// Seconds of a whole step, measured without the profiler.
    pub step_s: f64,
    /// Seconds of all rows together.
    pub listed_s: f64,
    /// Fraction of the step outside the rows: idle time between kernels, allocation and copies. Negative if the machine
    /// was slower during the profile.
    pub gap: f64,
    /// Number of kernel calls in a step.
    pub calls: usize,
    /// The ceilings of the device.
    pub ceilings: Ceilings,
    /// The kernels, in the order of execution.
    pub rows: Vec<Row>,
}

/// Kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Forward, loss, backward, update.
    Train,
    /// Forward only.
    Predict,
}

/// Profiles the kernels of a step on synthetic images for about `seconds`, after measuring whole steps for as long.
///
/// # Errors
/// Those of the network and the device.
pub fn layers<B: Backend<Scalar = f32>>(
    device: &B,
    model: &Model,
    config: &Config,
    kind: StepKind,
    seconds: f64,
) -> Result<Layers> {
    let ceilings = ceilings(device, seconds)?;
    let (step_s, _) = {
        let mut work = synthetic(device, model, config, kind)?;
        median_step(device, seconds, || run(&mut work, kind))?
    };
    let profiled = Profiled::new(device.clone());
    let mut work = synthetic(&profiled, model, config, kind)?;
    let recorded = calls(&profiled, seconds, || run(&mut work, kind))?;
    let calls = recorded.len();
    let rows = rows(recorded, &ceilings);
    let listed_s: f64 = rows.iter().map(|row| row.seconds).sum();
    let gap = (step_s - listed_s) / step_s;
    Ok(Layers { batch: config.run.batch, step_s, listed_s, gap, calls, ceilings, rows })
}

/// The kernel calls of a step, each with its median seconds over steps for about `seconds`. On an asynchronous device,
/// each call is repeated by itself.
fn calls<B: Backend>(profiled: &Profiled<B>, seconds: f64, mut step: impl FnMut() -> Result<()>) -> Result<Vec<Call>> {
    // The first step allocates the optimizer's state; the second records the calls.
    step()?;
    profiled.begin();
    step()?;
    let mut calls = profiled.end();
    if profiled.is_asynchronous() {
        profiled.begin_repeated(Duration::from_secs_f64(seconds / calls.len().max(1) as f64));
        step()?;
        return Ok(profiled.end());
    }
    let mut times = vec![Vec::new(); calls.len()];
    let start = Instant::now();
    while times.iter().any(|times| times.len() < 3) || start.elapsed().as_secs_f64() < seconds {
        profiled.begin();
        step()?;
        times.iter_mut().zip(profiled.end()).for_each(|(times, call)| times.push(call.seconds));
    }
    for (call, times) in calls.iter_mut().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        call.seconds = times[times.len() / 2];
    }
    Ok(calls)
}

fn synthetic<B: Backend<Scalar = f32>>(
    device: &B,
    model: &Model,
    config: &Config,
    kind: StepKind,
) -> Result<Synthetic<B>> {
    match kind {
        StepKind::Train => Synthetic::training(device, model, config),
        StepKind::Predict => Synthetic::predicting(device, model, config),
    }
}

fn run<B: Backend<Scalar = f32>>(work: &mut Synthetic<B>, kind: StepKind) -> Result<()> {
    match kind {
        StepKind::Train => work.train(),
        StepKind::Predict => work.predict(),
    }
}

/// Sums the calls of each kernel and layer to a row.
fn rows(calls: Vec<Call>, ceilings: &Ceilings) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for call in calls {
        let layer = match (&*call.scope, call.kernel) {
            ("", "sgd" | "adam") => "update",
            ("", _) => "loss",
            (layer, _) => layer,
        };
        let found = rows.iter().position(|row| row.layer == layer && row.kernel == call.kernel);
        let at = found.unwrap_or_else(|| {
            rows.push(Row::new(layer, call.kernel));
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.calls += 1;
        row.seconds += call.seconds;
        row.flops += call.flops;
        row.done += call.executed_flops;
        row.bytes += call.bytes;
    }
    rows.iter_mut().for_each(|row| row.compare(ceilings));
    rows
}

impl Row {
    fn new(layer: &str, kernel: &'static str) -> Self {
        Self {
            layer: layer.into(),
            kernel,
            calls: 0,
            seconds: 0.0,
            flops: 0.0,
            done: 0.0,
            bytes: 0,
            bound: Bound::Launch,
            share: 0.0,
        }
    }

    /// Compares the row with the ceilings.
    fn compare(&mut self, ceilings: &Ceilings) {
        let by_flops = self.done / ceilings.matrix_flops_per_s;
        let by_bytes = self.bytes as f64 / ceilings.copy_bytes_per_s;
        let launches = ceilings.launch_s * self.calls as f64;
        self.bound = match by_flops.max(by_bytes) {
            least if least < launches => Bound::Launch,
            least if least > by_bytes => Bound::Matrix,
            _ => Bound::Copy,
        };
        self.share = by_flops.max(by_bytes) / self.seconds.max(1e-12);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILINGS: Ceilings = Ceilings {
        matrix_flops_per_s: 1e12,
        matrix_rows: 1024,
        copy_bytes_per_s: 1e10,
        copy_len: 1 << 20,
        launch_s: 1e-6,
    };

    fn call(scope: &str, kernel: &'static str, seconds: f64, flops: f64, bytes: u64) -> Call {
        Call { scope: scope.into(), kernel, seconds, flops: 3.0 * flops, executed_flops: flops, bytes }
    }

    #[test]
    fn rows_are_held_against_the_nearer_ceiling() {
        let calls = vec![
            call("conv1", "conv2d", 0.02, 1e10, 1000),
            call("norm1", "lrn", 0.01, 0.0, 50_000_000),
            call("", "sgd", 0.001, 0.0, 1_000_000),
            call("", "sum", 2e-6, 0.0, 40),
            call("", "sgd", 0.003, 0.0, 3_000_000),
        ];
        let rows = rows(calls, &CEILINGS);
        let found: Vec<_> = rows.iter().map(|r| (r.layer.as_str(), r.kernel, r.calls, r.bound)).collect();
        let expected = [
            ("conv1", "conv2d", 1, Bound::Matrix),
            ("norm1", "lrn", 1, Bound::Copy),
            ("update", "sgd", 2, Bound::Copy),
            ("loss", "sum", 1, Bound::Launch),
        ];
        assert_eq!(found, expected);
        // 1e10 at 1e12 a second is half of 0.02 s; 5e7 at 1e10 half of 0.01 s; 4e6 at 1e10 a tenth of 0.004 s.
        for (row, share) in rows.iter().zip([0.5, 0.5, 0.1]) {
            assert!((row.share - share).abs() < 1e-12, "{row:?}");
        }
        assert_eq!((rows[2].seconds, rows[2].bytes), (0.004, 4_000_000));
    }
}
