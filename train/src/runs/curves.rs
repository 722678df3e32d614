//! The curves of several runs.

use std::io::{ErrorKind, Read};
use std::path::Path;

use files::regular_file;
use serde::Deserialize;

use super::RunSummary;
use crate::{Error, Result};

/// Curves of several runs over one x axis, which counts epochs if the log of each run has a whole one, else steps.
#[derive(Clone, Debug)]
pub struct Curves {
    /// `epochs` or `steps`; epochs with their number of steps, if all runs have the same.
    pub x_label: String,
    /// Those of each run.
    pub runs: Vec<RunCurves>,
}

/// The curves of a run as points (x, y). Those of the training are means of consecutive steps.
#[derive(Clone, Debug, Default)]
pub struct RunCurves {
    /// Its folder.
    pub name: String,
    /// Training loss in nats.
    pub loss: Vec<(f64, f64)>,
    /// Training top-1 error in percent, with augmentation and dropout.
    pub error: Vec<(f64, f64)>,
    /// Validation loss in nats.
    pub validation_loss: Vec<(f64, f64)>,
    /// Validation top-1 error in percent.
    pub validation_error: Vec<(f64, f64)>,
    /// Learning rate, at each step before and after which it changes.
    pub rate: Vec<(f64, f64)>,
    /// Images per second.
    pub speed: Vec<(f64, f64)>,
    /// Steps at which a constant learning rate fell.
    pub drops: Vec<RateDrop>,
}

/// A fall of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateDrop {
    /// The place on the x axis.
    pub x: f64,
    /// The rate after it.
    pub rate: f64,
}

#[derive(Deserialize)]
struct Step {
    step: u64,
    epoch: u64,
    loss: f64,
    #[serde(default = "missing")]
    top1_error: f64,
    #[serde(default = "missing")]
    rate: f64,
    #[serde(default = "missing")]
    images_per_s: f64,
}

#[derive(Deserialize)]
struct Validation {
    step: u64,
    loss: f64,
    top1_error: f64,
}

/// A value that a log of an early version does not have.
fn missing() -> f64 {
    f64::NAN
}

/// A rate has dropped if it falls by this factor after two steps with the same.
const DROP: f64 = 1.5;
/// Drops of a run at most: a schedule with more of them falls all the time.
const MAX_DROPS: usize = 12;

/// Reads the curves of runs, named by their folders, with at most `points` points each.
///
/// # Errors
/// [`Error::File`] for a log that cannot be read.
pub fn curves(runs: &[RunSummary], points: usize) -> Result<Curves> {
    let mut logs = Vec::new();
    for run in runs {
        let steps: Vec<Step> = lines(&run.folder.join("log.jsonl"))?;
        let validations: Vec<Validation> = lines(&run.folder.join("validation.jsonl"))?;
        logs.push((run.folder.display().to_string(), steps, validations));
    }
    let lengths: Option<Vec<u64>> = logs.iter().map(|(_, steps, _)| steps_per_epoch(steps)).collect();
    let x_label = match lengths.as_deref() {
        Some([first, others @ ..]) if others.iter().all(|other| other == first) => format!("epochs (of {first} steps)"),
        Some(_) => "epochs".into(),
        None => "steps".into(),
    };
    let lengths = lengths.unwrap_or_else(|| vec![1; logs.len()]);
    let of_run = |((name, steps, validations), length): ((String, Vec<Step>, Vec<Validation>), u64)| RunCurves {
        name,
        ..RunCurves::of(&steps, &validations, length as f64, points.max(1))
    };
    Ok(Curves { x_label, runs: logs.into_iter().zip(lengths).map(of_run).collect() })
}

impl RunCurves {
    /// The curves of a log whose epochs have `length` steps.
    fn of(steps: &[Step], validations: &[Validation], length: f64, points: usize) -> Self {
        let means = |value: fn(&Step) -> f64| {
            let mean = |part: &[Step]| {
                let n = part.len() as f64;
                let step = part.iter().map(|line| line.step as f64).sum::<f64>() / n;
                (step / length, part.iter().map(value).sum::<f64>() / n)
            };
            steps.chunks(steps.len().div_ceil(points).max(1)).map(mean).collect()
        };
        let validated = |value: fn(&Validation) -> f64| {
            validations.iter().map(|line| (line.step as f64 / length, value(line))).collect()
        };
        Self {
            name: String::new(),
            loss: means(|line| line.loss),
            error: means(|line| 100.0 * line.top1_error),
            validation_loss: validated(|line| line.loss),
            validation_error: validated(|line| 100.0 * line.top1_error),
            rate: rates(steps, length, points),
            speed: means(|line| line.images_per_s),
            drops: drops(steps, length),
        }
    }
}

/// The learning rate before and after its changes; of a rate that changes all the time, at some steps.
fn rates(steps: &[Step], length: f64, points: usize) -> Vec<(f64, f64)> {
    let is_corner = |at: &usize| {
        let differs = |other: Option<&Step>| other.is_none_or(|other| other.rate != steps[*at].rate);
        differs(at.checked_sub(1).map(|before| &steps[before])) || differs(steps.get(at + 1))
    };
    let corners: Vec<usize> = (0..steps.len()).filter(is_corner).collect();
    let apart = corners.len().div_ceil(points).max(1);
    let last = corners.len().saturating_sub(1);
    let shown = corners.iter().enumerate().filter(|(number, _)| number.is_multiple_of(apart) || *number == last);
    shown.map(|(_, &at)| (steps[at].step as f64 / length, steps[at].rate)).collect()
}

fn drops(steps: &[Step], length: f64) -> Vec<RateDrop> {
    let drop = |window: &[Step]| {
        let [first, before, after] = window else { return None };
        let has_dropped = first.rate == before.rate && after.rate * DROP <= before.rate;
        has_dropped.then(|| RateDrop { x: before.step as f64 / length, rate: after.rate })
    };
    let found: Vec<RateDrop> = steps.windows(3).filter_map(drop).collect();
    if found.len() > MAX_DROPS { Vec::new() } else { found }
}

/// The steps of the first epoch, if the log goes on after it.
fn steps_per_epoch(steps: &[Step]) -> Option<u64> {
    let first = steps.first()?;
    let next = steps.iter().find(|line| line.epoch != first.epoch)?;
    Some(next.step - first.step).filter(|steps| *steps > 0)
}

/// The lines of a log; none if there is no log. A damaged byte affects its line only.
fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let mut bytes = Vec::new();
    match regular_file::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::file(path, format!("cannot be read: {e}"))),
        _ => {}
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(rates: impl IntoIterator<Item = f64>) -> Vec<Step> {
        let step = |(number, rate): (u64, f64)| Step {
            step: number,
            epoch: (number - 1) / 3,
            loss: number as f64,
            top1_error: 0.5,
            rate,
            images_per_s: 10.0,
        };
        (1..).zip(rates).map(step).collect()
    }

    #[test]
    fn the_first_epoch_gives_the_number_of_steps() {
        let log = log([0.1; 7]);
        assert_eq!(steps_per_epoch(&log), Some(3));
        assert_eq!(steps_per_epoch(&log[..3]), None);
        assert_eq!(steps_per_epoch(&[]), None);
    }

    #[test]
    fn long_curves_are_means_and_rates_have_their_corners() {
        let steps = log([0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]);
        let curves = RunCurves::of(&steps, &[], 2.0, 4);
        assert_eq!(curves.loss, [(0.75, 1.5), (1.75, 3.5), (2.75, 5.5), (3.75, 7.5)]);
        assert_eq!(curves.error[0].1, 50.0);
        assert_eq!(curves.rate, [(0.5, 0.1), (2.0, 0.1), (2.5, 0.01), (4.0, 0.01)]);
        assert_eq!(curves.drops, [RateDrop { x: 2.0, rate: 0.01 }]);
        assert!(curves.validation_loss.is_empty());
    }

    #[test]
    fn a_rate_that_falls_all_the_time_has_no_drops() {
        let cosine = |step: i32| 1.0 + (f64::from(step) / 50.0 * std::f64::consts::PI).cos();
        assert_eq!(drops(&log((0..50).map(cosine)), 1.0), []);
        let stairs = |step: i32| 0.5_f64.powi(step / 2);
        assert_eq!(drops(&log((0..10).map(stairs)), 1.0).len(), 4);
        assert_eq!(drops(&log((0..100).map(stairs)), 1.0), []);
        // A warm-up is no drop.
        assert_eq!(drops(&log([0.01, 0.05, 0.1, 0.1, 0.1]), 1.0), []);
        assert_eq!(rates(&log((0..1000).map(f64::from)), 1.0, 100).len(), 101);
    }
}
