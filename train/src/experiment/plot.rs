//! The plot of an experiment: curves of its cells beside the published figures.

use image::RgbImage;

use super::{Experiment, Measure, Results, RunResult};
use crate::log::ValidationLine;
use crate::plots::{Decoration, Level, Mark, Series, curve_decorated};

/// Published figures that are drawn at most.
const MOST_LEVELS: usize = 6;

/// Plots the error by epoch, a curve for each cell with runs: the mean over them. It is the error that cells are compared
/// by, or the first measure: the training error in the paper's Fig. 1, else a validation error. Published errors and the
/// threshold are horizontal lines; the epochs until the threshold are vertical ones.
pub fn plot(experiment: &Experiment, results: &Results) -> RgbImage {
    let compared = results.comparison.as_ref().map(|comparison| comparison.measure);
    let measure = compared.or(results.measures.first().copied()).unwrap_or(Measure::Top1);
    let (kind, series, dashed) = curves(experiment, results, measure);
    let marks = marks(results, measure);
    let levels = levels(results, measure);
    let decoration = Decoration { marks: &marks, levels: &levels, dashed: &dashed };
    curve_decorated(&series, ["epochs", kind, &results.title], decoration)
}

/// The name of the error, the curves of the cells with runs, and the numbers of the dashed ones.
fn curves(experiment: &Experiment, results: &Results, measure: Measure) -> (&'static str, Vec<Series>, Vec<usize>) {
    let is_training = matches!(measure, Measure::TrainingTop1 | Measure::EpochsToTrainingError);
    let (kind, error): (&'static str, fn(&ValidationLine) -> f64) = if is_training {
        ("training error (%)", |line| line.train_top1_error)
    } else if measure.is_top5() {
        ("top-5 error (%)", |line| line.top5_error)
    } else {
        ("top-1 error (%)", |line| line.top1_error)
    };
    // The training error of an epoch is the mean over it.
    let shift = if is_training { 0.5 } else { 0.0 };
    let mut series = Vec::new();
    let mut dashed = Vec::new();
    for cell in &experiment.cell {
        let is_of = |run: &&RunResult| run.cell == cell.name && run.tries.is_none();
        let runs: Vec<&RunResult> = results.runs.iter().filter(is_of).collect();
        let points = means(&runs, shift, error);
        if points.is_empty() {
            continue;
        }
        if cell.dashed {
            dashed.push(series.len());
        }
        series.push(Series { name: cell.name.clone(), points });
    }
    (kind, series, dashed)
}

/// The mean over runs, in percent, at each epoch that all of them have.
fn means(runs: &[&RunResult], shift: f64, error: fn(&ValidationLine) -> f64) -> Vec<(f64, f64)> {
    let length = runs.iter().map(|run| run.epochs.len()).min().unwrap_or(0);
    let point = |at: usize| {
        let sum: f64 = runs.iter().map(|run| error(&run.epochs[at])).sum();
        (runs[0].epochs[at].epoch as f64 - shift, 100.0 * sum / runs.len() as f64)
    };
    (0..length).map(point).collect()
}

/// The epochs until the threshold.
fn marks(results: &Results, measure: Measure) -> Vec<Mark> {
    if measure.unit() != "epochs" {
        return Vec::new();
    }
    let mark = |row: &super::Row| {
        let mean = row.figure(measure)?.mean?;
        Some(Mark { x: mean, label: format!("{}: {mean:.1} epochs", row.cell) })
    };
    results.rows.iter().filter_map(mark).collect()
}

/// The threshold, or the published errors.
fn levels(results: &Results, measure: Measure) -> Vec<Level> {
    if let Some(threshold) = results.threshold.filter(|_| measure.needs_threshold()) {
        let y = 100.0 * threshold;
        return vec![Level { y, label: format!("{y} %") }];
    }
    let of_row = |row: &super::Row| {
        let cell = row.cell.clone();
        let figures = row.figures.iter().filter(|figure| figure.measure == measure).cloned().collect::<Vec<_>>();
        let published = figures.into_iter().flat_map(|figure| figure.published).collect::<Vec<_>>();
        published
            .into_iter()
            .map(move |published| Level {
                y: published.value,
                label: format!("{cell}, published: {}", published.value),
            })
            .collect::<Vec<_>>()
    };
    results.rows.iter().flat_map(of_row).take(MOST_LEVELS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{BudgetName, Inputs};

    fn line(epoch: u64, error: f64) -> ValidationLine {
        let object = serde_json::json!({
            "step": epoch, "epoch": epoch, "train_loss": 1.0, "train_top1_error": error, "loss": 1.0,
            "top1_error": error + 0.1, "top5_error": error / 2.0, "seconds": 1.0,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn curves_are_means_and_training_errors_lie_in_the_middle_of_their_epochs() {
        let experiment = Experiment::named("fig1").unwrap();
        let run = |cell: &str, errors: &[f64]| RunResult {
            cell: cell.into(),
            epochs: (1..).zip(errors).map(|(epoch, error)| line(epoch, *error)).collect(),
            ..RunResult::default()
        };
        let runs = vec![run("relu", &[0.5, 0.3]), run("relu", &[0.7, 0.4, 0.1]), run("tanh", &[0.9])];
        let results = Results::of(&experiment, BudgetName::Full, Inputs { runs, ..Inputs::default() });
        let (kind, series, dashed) = curves(&experiment, &results, Measure::EpochsToTrainingError);
        assert_eq!((kind, dashed), ("training error (%)", vec![1]));
        assert_eq!(series.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["relu", "tanh"]);
        let rounded = |series: &Series| -> Vec<(f64, f64)> {
            series.points.iter().map(|(x, y)| (*x, (y * 1e6).round() / 1e6)).collect()
        };
        assert_eq!(rounded(&series[0]), [(0.5, 60.0), (1.5, 35.0)]);
        let (kind, series, _) = curves(&experiment, &results, Measure::Top1);
        assert_eq!((kind, rounded(&series[0])), ("top-1 error (%)", vec![(1.0, 70.0), (2.0, 45.0)]));
        let (kind, series, _) = curves(&experiment, &results, Measure::Top5);
        assert_eq!((kind, rounded(&series[0])), ("top-5 error (%)", vec![(1.0, 30.0), (2.0, 17.5)]));
    }
}
