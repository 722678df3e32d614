//! The curves of several runs for one chart.

use std::io::{ErrorKind, Read};
use std::path::Path;

use files::regular_file;
use serde::Deserialize;

use super::RunSummary;
use crate::plots::Series;
use crate::{Error, Result};

/// Curves of several runs. The x axis counts epochs if the log of each run has a whole one, else steps.
#[derive(Clone, Debug)]
pub struct Curves {
    /// `epochs` or `steps`.
    pub x_label: &'static str,
    /// The training loss of each run, as means of consecutive steps.
    pub loss: Vec<Series>,
    /// The validation top-1 error in percent of each run that has a validation.
    pub error: Vec<Series>,
}

#[derive(Deserialize)]
struct Step {
    step: u64,
    epoch: u64,
    loss: f64,
}

#[derive(Deserialize)]
struct Validation {
    step: u64,
    top1_error: f64,
}

/// Points of a curve at most; a chart draws more of them pale.
const POINTS: usize = 200;

/// Reads the curves of runs, named by their folders.
///
/// # Errors
/// [`Error::File`] for a log that cannot be read.
pub fn curves(runs: &[RunSummary]) -> Result<Curves> {
    let mut logs = Vec::new();
    for run in runs {
        let steps: Vec<Step> = lines(&run.folder.join("log.jsonl"))?;
        let validations: Vec<Validation> = lines(&run.folder.join("validation.jsonl"))?;
        logs.push((run.folder.display().to_string(), steps, validations));
    }
    let lengths: Option<Vec<u64>> = logs.iter().map(|(_, steps, _)| steps_per_epoch(steps)).collect();
    let x_label = if lengths.is_some() { "epochs" } else { "steps" };
    let lengths = lengths.unwrap_or_else(|| vec![1; logs.len()]);
    let mut curves = Curves { x_label, loss: Vec::new(), error: Vec::new() };
    for ((name, steps, validations), length) in logs.into_iter().zip(lengths) {
        let x = |step: f64| step / length as f64;
        let mean = |part: &[Step]| {
            let n = part.len() as f64;
            let step = part.iter().map(|line| line.step as f64).sum::<f64>() / n;
            (x(step), part.iter().map(|line| line.loss).sum::<f64>() / n)
        };
        let points = steps.chunks(steps.len().div_ceil(POINTS).max(1)).map(mean).collect();
        curves.loss.push(Series { name: name.clone(), points });
        if !validations.is_empty() {
            let points = validations.iter().map(|line| (x(line.step as f64), 100.0 * line.top1_error)).collect();
            curves.error.push(Series { name, points });
        }
    }
    Ok(curves)
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

    #[test]
    fn the_first_epoch_gives_the_number_of_steps() {
        let step = |step, epoch| Step { step, epoch, loss: 1.0 };
        let log: Vec<Step> = (1..=7).map(|n| step(n, (n - 1) / 3)).collect();
        assert_eq!(steps_per_epoch(&log), Some(3));
        assert_eq!(steps_per_epoch(&log[..3]), None);
        assert_eq!(steps_per_epoch(&[]), None);
    }
}
