//! A step by layer: the time of each kernel beside what the device could do.

use std::time::{Duration, Instant};

use layers::Model;
use serde::Serialize;
use tensor::profiled::{Call, Profiled};
use tensor::{Backend, Device};

use super::ceilings::{Ceilings, ceilings};
use super::speed::median_step;
use super::work::Work;
use crate::Result;
use crate::config::Config;

/// What a kernel's time cannot be less than comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Multiplications and additions.
    Matrix,
    /// Bytes read and written.
    Copy,
    /// It is so little work that its launch is most of it.
    Launch,
}

/// One kernel of one layer in one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The layer's name; `loss` and `update` for what follows the network.
    pub layer: String,
    /// The kernel.
    pub kernel: &'static str,
    /// Calls in a step.
    pub calls: usize,
    /// Seconds of all of them.
    pub seconds: f64,
    /// Multiplications and additions of all of them, as their sums are defined; 0 where memory is the bound in any case.
    pub flops: f64,
    /// Those that are really done: a fast algorithm's products are fewer. Its transforms are not counted.
    pub done: f64,
    /// Bytes that they must move at least: operands and results once each.
    pub bytes: u64,
    /// Which ceiling is nearer.
    pub bound: Bound,
    /// The least time under the ceilings, for what is done, by the time taken: 1 is at the roof. More is possible where caches
    /// hold what the copy's size does not let them hold.
    pub share: f64,
}

/// A step and its parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layers {
    /// Images a step.
    pub batch: usize,
    /// Seconds of a whole step, measured on its own.
    pub step_s: f64,
    /// Seconds of all rows.
    pub listed_s: f64,
    /// What a step takes beyond its rows, as a share of it: launches that the device waits for, memory made or copied. Below
    /// zero where the machine was slower meanwhile.
    pub gap: f64,
    /// Calls of kernels in a step.
    pub calls: usize,
    /// What the device can do.
    pub ceilings: Ceilings,
    /// In the order in which a step runs them.
    pub rows: Vec<Row>,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Forward, loss, backward, update.
    Train,
    /// Forward alone.
    Predict,
}

/// Measures each kernel that a step on noise runs, on the values of that step, for about `seconds` in all, after whole
/// steps for as long.
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
        let mut work = begin(device, model, config, kind)?;
        median_step(device, seconds, || run(&mut work, kind))?
    };
    let profiled = Profiled::new(device.clone());
    let mut work = begin(&profiled, model, config, kind)?;
    let made = calls(&profiled, seconds, || run(&mut work, kind))?;
    let calls = made.len();
    let rows = rows(made, &ceilings);
    let listed_s: f64 = rows.iter().map(|row| row.seconds).sum();
    let gap = (step_s - listed_s) / step_s;
    Ok(Layers { batch: config.run.batch, step_s, listed_s, gap, calls, ceilings, rows })
}

/// The calls of a step, each with its median seconds over steps for about `seconds`; on a device that queues its work, each
/// repeated on its own.
fn calls<B: Backend>(profiled: &Profiled<B>, seconds: f64, mut step: impl FnMut() -> Result<()>) -> Result<Vec<Call>> {
    // The first step makes the optimizer's memory; the next shows what is called.
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
    let begun = Instant::now();
    while times.iter().any(|times| times.len() < 3) || begun.elapsed().as_secs_f64() < seconds {
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

fn begin<B: Backend<Scalar = f32>>(device: &B, model: &Model, config: &Config, kind: StepKind) -> Result<Work<B>> {
    match kind {
        StepKind::Train => Work::training(device, model, config),
        StepKind::Predict => Work::predicting(device, model, config),
    }
}

fn run<B: Backend<Scalar = f32>>(work: &mut Work<B>, kind: StepKind) -> Result<()> {
    match kind {
        StepKind::Train => work.train(),
        StepKind::Predict => work.predict(),
    }
}

/// Calls of one kernel for one layer are one row.
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
    rows.iter_mut().for_each(|row| row.judge(ceilings));
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

    fn judge(&mut self, ceilings: &Ceilings) {
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
        let told: Vec<_> = rows.iter().map(|r| (r.layer.as_str(), r.kernel, r.calls, r.bound)).collect();
        let expected = [
            ("conv1", "conv2d", 1, Bound::Matrix),
            ("norm1", "lrn", 1, Bound::Copy),
            ("update", "sgd", 2, Bound::Copy),
            ("loss", "sum", 1, Bound::Launch),
        ];
        assert_eq!(told, expected);
        // 1e10 at 1e12 a second is half of 0.02 s; 5e7 at 1e10 half of 0.01 s; 4e6 at 1e10 a tenth of 0.004 s.
        for (row, share) in rows.iter().zip([0.5, 0.5, 0.1]) {
            assert!((row.share - share).abs() < 1e-12, "{row:?}");
        }
        assert_eq!((rows[2].seconds, rows[2].bytes), (0.004, 4_000_000));
    }
}
