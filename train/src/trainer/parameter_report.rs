//! Sizes of weights and updates at the end of each epoch, as the authors' code logged them.

use std::path::Path;

use layers::{Network, Parameters};
use tensor::Backend;

use crate::Result;
use crate::log::Csv;

/// Values of a parameter that are compared before and after a step, at most; they are evenly spaced.
const MAX_SAMPLE: usize = 1 << 16;

/// A parameter and its update by the last step.
pub(super) struct ParameterStatistics {
    pub name: String,
    /// Mean absolute value of all its values.
    pub mean_value: f64,
    /// Mean absolute update of the values in `updates`.
    pub mean_update: f64,
    /// Evenly spaced values.
    pub values: Vec<f32>,
    /// The updates of these values by the last step.
    pub updates: Vec<f32>,
}

/// Evenly spaced values of a trained parameter, and the mean absolute value of all.
struct Sample {
    name: String,
    mean: f64,
    values: Vec<f32>,
}

/// Values of the trained parameters before a step.
pub(super) struct Before(Vec<Sample>);

fn sample<B: Backend<Scalar = f32>>(network: &Network<B>) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (name, parameter) in network.named_parameters() {
        if !parameter.spec.is_trainable() {
            continue;
        }
        let values = parameter.value.read()?;
        let mean = values.iter().map(|v| f64::from(v.abs())).sum::<f64>() / values.len().max(1) as f64;
        let stride = values.len().div_ceil(MAX_SAMPLE).max(1);
        samples.push(Sample { name, mean, values: values.iter().step_by(stride).copied().collect() });
    }
    Ok(samples)
}

impl Before {
    /// Reads the parameters before a step.
    pub fn read<B: Backend<Scalar = f32>>(network: &Network<B>) -> Result<Self> {
        Ok(Self(sample(network)?))
    }

    /// Reads the parameters after the step. A parameter that is frozen has an update of 0.
    pub fn compare<B: Backend<Scalar = f32>>(&self, network: &Network<B>) -> Result<Vec<ParameterStatistics>> {
        let mut statistics = Vec::new();
        for (before, Sample { name, mean, values }) in self.0.iter().zip(sample(network)?) {
            let updates: Vec<f32> = values.iter().zip(&before.values).map(|(after, before)| after - before).collect();
            let sum: f64 = updates.iter().map(|v| f64::from(v.abs())).sum();
            let mean_update = sum / updates.len().max(1) as f64;
            statistics.push(ParameterStatistics { name, mean_value: mean, mean_update, values, updates });
        }
        Ok(statistics)
    }
}

/// Opens `parameters.csv` without the rows after `last_epoch`.
pub(super) fn open_csv(path: &Path, last_epoch: u64) -> Result<Csv> {
    Csv::open(path, "epoch,step,parameter,mean_abs_value,mean_abs_update", last_epoch)
}

/// The rows of an epoch.
pub(super) fn append(csv: &mut Csv, epoch: u64, step: u64, parameters: &[ParameterStatistics]) -> Option<String> {
    let row = |p: &ParameterStatistics| format!("{epoch},{step},{},{:e},{:e}", p.name, p.mean_value, p.mean_update);
    parameters.iter().filter_map(|parameter| csv.append(&row(parameter))).next()
}
