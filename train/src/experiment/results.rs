//! The results of an experiment beside the published figures.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::Value;

use super::statistics::{mean as mean_of, standard_error};
use super::{BudgetName, Cell, Comparison, Experiment, Form, Measure, Published, PublishedDifference, Sign};
use crate::log::ValidationLine;

/// The outcome of a run of an experiment, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunResult {
    /// Its name.
    pub name: String,
    /// Its cell.
    pub cell: String,
    /// Its seed.
    pub seed: u64,
    /// The value that it tries for the setting of a search.
    pub tries: Option<Value>,
    /// Whether it took all its steps.
    pub is_finished: bool,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// Time of its first step, in UTC.
    pub began: Option<String>,
    /// Time of its last step.
    pub ended: Option<String>,
    /// Images per second of its last steps.
    pub images_per_s: Option<f64>,
    /// Its validations, one an epoch.
    #[serde(serialize_with = "curves")]
    pub epochs: Vec<ValidationLine>,
}

/// An epoch of a run, as `results.json` has it. Errors are fractions.
#[derive(Serialize)]
struct Epoch {
    epoch: u64,
    training_top1_error: f64,
    top1_error: f64,
    top5_error: f64,
    seconds: f64,
}

fn curves<S: serde::Serializer>(lines: &[ValidationLine], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(lines.iter().map(|line| Epoch {
        epoch: line.epoch,
        training_top1_error: line.train_top1_error,
        top1_error: line.top1_error,
        top5_error: line.top5_error,
        seconds: line.seconds,
    }))
}

/// Top-1 and top-5 errors of tests, as fractions, by the name of the run or of the average, and the number of crops.
pub type Tests = BTreeMap<(String, usize), [f64; 2]>;

/// Where results come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Provenance {
    /// The command line.
    pub command: String,
    /// Version of the program.
    pub version: String,
    /// The machine: device and number of threads.
    pub device: String,
    /// Training images.
    pub images: usize,
    /// Validation images.
    pub val_images: usize,
    /// Class names.
    pub classes: Vec<String>,
    /// Fingerprints of the packs of training and validation.
    pub fingerprints: [String; 2],
}

/// The outcome of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchResult {
    /// The cell.
    pub cell: String,
    /// The setting.
    pub setting: String,
    /// Epochs of each run.
    pub epochs: u64,
    /// The values with their training errors.
    pub trials: Vec<SearchTrial>,
    /// The value with the lowest training error.
    pub chosen: Option<Value>,
}

/// A value of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchTrial {
    /// The value.
    pub value: Value,
    /// Mean training top-1 error of the last epoch, as a fraction; none if the run failed.
    pub training_error: Option<f64>,
}

/// The inputs of results.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The runs.
    pub runs: Vec<RunResult>,
    /// The tests.
    pub tests: Tests,
    /// Where they come from.
    pub provenance: Provenance,
}

/// The results of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Results {
    /// Its name.
    pub experiment: String,
    /// Its title.
    pub title: String,
    /// The comparison in a few sentences.
    pub about: String,
    /// The publication.
    pub source: String,
    /// The data set.
    pub data: String,
    /// The budget.
    pub budget: BudgetName,
    /// Where the results come from.
    pub provenance: Provenance,
    /// The measures.
    pub measures: Vec<Measure>,
    /// The error that measures count up to, as a fraction.
    pub threshold: Option<f64>,
    /// The comparison of cells.
    pub comparison: Option<Comparison>,
    /// One for each cell.
    pub rows: Vec<Row>,
    /// The searches.
    pub searches: Vec<SearchResult>,
    /// All runs.
    pub runs: Vec<RunResult>,
}

/// The results of a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The cell.
    pub cell: String,
    /// A description of the cell.
    pub about: String,
    /// Finished runs; of an average, its networks.
    pub runs: usize,
    /// One for each measure.
    pub figures: Vec<Figure>,
    /// Comparison with another cell.
    pub difference: Option<Difference>,
}

/// A figure of a cell. All values are in the unit of the measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The measure.
    pub measure: Measure,
    /// Its unit.
    pub unit: &'static str,
    /// The value of each run.
    pub values: Vec<f64>,
    /// Their mean; none if a finished run has no value, as one that did not reach the threshold.
    pub mean: Option<f64>,
    /// A lower bound of the mean, if a run did not reach the threshold.
    pub lower_bound: Option<f64>,
    /// Standard error of the mean, of two runs or more.
    pub standard_error: Option<f64>,
    /// Published figures.
    pub published: Vec<Published>,
    /// The mean minus the first published figure.
    pub from_published: Option<f64>,
}

/// The comparison of a cell with another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The other cell.
    pub from: String,
    /// Difference or ratio of the means.
    pub value: Option<f64>,
    /// A lower bound of it, if there is one of the cell's mean alone.
    pub lower_bound: Option<f64>,
    /// Its standard error, of two runs or more of both.
    pub standard_error: Option<f64>,
    /// The published one, or that of the published figures.
    pub published: Option<PublishedDifference>,
    /// The sign that the source leads to expect.
    pub expected: Option<Sign>,
    /// Whether the signs agree.
    pub is_same_sign: Option<bool>,
}

impl SearchResult {
    /// The outcome of a cell's search; nothing is chosen before all its runs ended.
    pub fn of(cell: &Cell, epochs: u64, runs: &[RunResult], is_over: bool) -> Option<Self> {
        let search = cell.search.as_ref()?;
        let error_of = |value: &Value| {
            let run = runs.iter().find(|run| run.cell == cell.name && run.tries.as_ref() == Some(value))?;
            let last = run.epochs.last().filter(|_| run.is_finished)?;
            Some(last.train_top1_error).filter(|error| error.is_finite())
        };
        let trials: Vec<SearchTrial> = search
            .values
            .iter()
            .map(|value| SearchTrial { value: value.clone(), training_error: error_of(value) })
            .collect();
        let with_error = trials.iter().filter_map(|trial| Some((trial.training_error?, &trial.value)));
        let best = with_error.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, value)| value.clone());
        let setting = search.setting.clone();
        Some(Self { cell: cell.name.clone(), setting, epochs, trials, chosen: best.filter(|_| is_over) })
    }
}

impl Results {
    /// The results of the runs there are.
    pub fn of(experiment: &Experiment, budget: BudgetName, inputs: Inputs) -> Self {
        let Inputs { runs, tests, provenance } = inputs;
        let cells = experiment.cells(budget);
        let mut rows: Vec<Row> = cells.iter().map(|cell| row(experiment, cell, &runs, &tests)).collect();
        if let Some(comparison) = &experiment.comparison {
            let differences: Vec<Option<Difference>> =
                cells.iter().zip(&rows).map(|(cell, row)| difference(comparison, cell, row, &rows)).collect();
            rows.iter_mut().zip(differences).for_each(|(row, difference)| row.difference = difference);
        }
        let epochs = experiment.budget(budget).search_epochs.unwrap_or(0);
        Self {
            experiment: experiment.name.clone(),
            title: experiment.title.clone(),
            about: experiment.about.trim().to_string(),
            source: experiment.source.clone(),
            data: experiment.data.kind.name().to_string(),
            budget,
            provenance,
            measures: experiment.evaluation.measures.clone(),
            threshold: experiment.evaluation.threshold,
            comparison: experiment.comparison.clone(),
            rows,
            searches: cells.iter().filter_map(|cell| SearchResult::of(cell, epochs, &runs, true)).collect(),
            runs,
        }
    }

    /// The row of a cell.
    pub fn row(&self, cell: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.cell == cell)
    }

    /// Seconds of training of all runs together.
    pub fn seconds(&self) -> f64 {
        self.runs.iter().filter_map(|run| run.seconds).sum()
    }
}

impl Row {
    /// The figure of a measure.
    pub fn figure(&self, measure: Measure) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.measure == measure)
    }
}

fn row(experiment: &Experiment, cell: &Cell, runs: &[RunResult], tests: &Tests) -> Row {
    let is_of = |run: &&RunResult, name: &String| run.cell == *name && run.tries.is_none() && run.is_finished;
    let own: Vec<&RunResult> = runs.iter().filter(|run| is_of(run, &cell.name)).collect();
    let averaged = runs.iter().filter(|run| cell.average_of.iter().any(|name| is_of(run, name))).count();
    let is_average = !cell.average_of.is_empty();
    let threshold = experiment.evaluation.threshold;
    let tested = |name: &str, measure: Measure, crops: usize| {
        let errors = tests.get(&(name.to_string(), crops))?;
        Some(100.0 * errors[usize::from(measure.is_top5())])
    };
    let figure = |&measure: &Measure| {
        if is_average {
            let crops = measure.crops().unwrap_or(1);
            let value = tested(&cell.name, measure, crops).filter(|_| measure.is_of_average());
            return figure_of(measure, &[value], &[None], cell);
        }
        let values: Vec<Option<f64>> = {
            let of_run = |run: &&RunResult| match measure.crops() {
                Some(crops) => tested(&run.name, measure, crops),
                None => measure.of_log(&run.epochs, threshold),
            };
            own.iter().map(of_run).collect()
        };
        let bounds: Vec<Option<f64>> = own.iter().map(|run| measure.lower_bound(&run.epochs)).collect();
        figure_of(measure, &values, &bounds, cell)
    };
    Row {
        cell: cell.name.clone(),
        about: cell.about.clone(),
        runs: if is_average { averaged } else { own.len() },
        figures: experiment.evaluation.measures.iter().map(figure).collect(),
        difference: None,
    }
}

/// The figure of the runs' values; `bounds` are lower bounds of those that are missing.
fn figure_of(measure: Measure, values: &[Option<f64>], bounds: &[Option<f64>], cell: &Cell) -> Figure {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let all: Option<Vec<f64>> = values.iter().zip(bounds).map(|(value, bound)| value.or(*bound)).collect();
    let lower_bound = all.and_then(|all| mean_of(&all)).filter(|_| known.len() < values.len());
    let mean = mean_of(&known).filter(|_| known.len() == values.len());
    let published: Vec<Published> = cell.published.iter().filter(|figure| figure.measure == measure).cloned().collect();
    Figure {
        measure,
        unit: measure.unit(),
        mean,
        lower_bound,
        standard_error: standard_error(&known).filter(|_| mean.is_some()),
        from_published: mean.zip(published.first()).map(|(mean, published)| mean - published.value),
        values: known,
        published,
    }
}

/// The comparison of a row with that of the cell's base, if it has one.
fn difference(comparison: &Comparison, cell: &Cell, row: &Row, rows: &[Row]) -> Option<Difference> {
    let base_name = comparison.base_of(cell)?;
    let base = rows.iter().find(|row| row.cell == *base_name)?;
    let [own, of_base] = [row, base].map(|row| row.figure(comparison.measure));
    let (own, of_base) = own.zip(of_base)?;
    let compare = |own: f64, base: f64| match comparison.form {
        Form::Difference => own - base,
        Form::Ratio => own / base,
    };
    let value = own.mean.zip(of_base.mean).map(|(own, base)| compare(own, base));
    let lower_bound = own.lower_bound.zip(of_base.mean).map(|(own, base)| compare(own, base));
    let of_figures = own
        .published
        .first()
        .zip(of_base.published.first())
        .map(|(own, base)| PublishedDifference { value: compare(own.value, base.value), source: own.source.clone() });
    let published = cell.published_difference.clone().or(of_figures);
    let is_higher = |value: f64| match comparison.form {
        Form::Difference => value > 0.0,
        Form::Ratio => value > 1.0,
    };
    let of_published = published.as_ref().map(|published| is_higher(published.value));
    let expected = cell.expected.map(|sign| sign == Sign::Higher).or(of_published);
    Some(Difference {
        from: base_name.clone(),
        value,
        lower_bound,
        standard_error: value.and_then(|value| error_of_difference(comparison.form, value, own, of_base)),
        published,
        expected: cell.expected,
        // A bound tells the sign if it is itself higher.
        is_same_sign: value
            .or(lower_bound.filter(|bound| is_higher(*bound)))
            .zip(expected)
            .map(|(value, expected)| is_higher(value) == expected),
    })
}

/// The standard error of a difference or ratio of independent means.
fn error_of_difference(form: Form, value: f64, own: &Figure, base: &Figure) -> Option<f64> {
    let (own_error, base_error) = own.standard_error.zip(base.standard_error)?;
    match form {
        Form::Difference => Some(own_error.hypot(base_error)),
        Form::Ratio => Some(value * (own_error / own.mean?).hypot(base_error / base.mean?)),
    }
}
