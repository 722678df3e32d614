//! The parallel coordinates of a sweep.

use image::RgbImage;
use toml::Value;

use super::{TrialResult, Values};
use crate::plots::{Dimension, parallel_coordinates};

/// Plots trials as lines through one axis for each setting that varies and one for the best value, of which the lowest is
/// dark. Trials without a result are left out.
pub fn plot(vary: &[(String, Values)], results: &[TrialResult], title: &str) -> RgbImage {
    let done: Vec<(&TrialResult, f64)> = results.iter().filter_map(|trial| Some((trial, trial.best?))).collect();
    let mut dimensions = Vec::new();
    for (at, (name, values)) in vary.iter().enumerate() {
        let of_trials: Vec<&Value> = done.iter().map(|(trial, _)| &trial.values[at].1).collect();
        dimensions.push(dimension(name, values, &of_trials));
    }
    let best = done.iter().map(|(_, best)| *best).collect();
    dimensions.push(Dimension::numbers("best", best, false));
    parallel_coordinates(&dimensions, title)
}

fn dimension(name: &str, values: &Values, of_trials: &[&Value]) -> Dimension {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|integer| integer as f64));
    let numbers: Option<Vec<f64>> = of_trials.iter().map(|value| number(value)).collect();
    let is_logarithmic = match values {
        Values::LogUniform(_) => true,
        Values::Choice(list) => spans_decades(list.iter().filter_map(number)),
        Values::Uniform(_) => false,
    };
    match (numbers, values) {
        (Some(numbers), _) => Dimension::numbers(name, numbers, is_logarithmic),
        (None, Values::Choice(list)) => {
            let place = |value: &&Value| list.iter().position(|other| other == *value).unwrap_or(0);
            let names = list.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_string));
            Dimension::names(name, of_trials.iter().map(place).collect(), names.collect())
        }
        (None, _) => Dimension::numbers(name, vec![f64::NAN; of_trials.len()], false),
    }
}

/// Whether positive values lie so far apart that a linear axis would crowd them.
fn spans_decades(values: impl Iterator<Item = f64>) -> bool {
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    low > 0.0 && high / low >= 20.0
}
