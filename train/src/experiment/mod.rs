//! Published experiments: a file that says which networks are trained how, what is compared, and what is published.

mod check;
mod embedded;
mod file;
mod markdown;
mod measure;
mod plan;
mod plot;
mod results;
mod statistics;
mod write;

use std::path::Path;

use files::regular_file;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::config::{keys, parse_table};
use crate::{Error, Result};

pub use embedded::embedded;
pub use file::{
    Budget, BudgetName, Cell, Comparison, DataCounts, DataKind, DataSet, Evaluation, Form, Published,
    PublishedDifference, Search, Sign,
};
pub use measure::Measure;
pub use plan::{PlannedRun, Source};
pub use plot::plot;
pub use results::{Difference, Figure, Inputs, Provenance, Results, Row, RunResult, SearchResult, SearchTrial, Tests};

/// An experiment, as its file describes it.
///
/// ```
/// use alexnet_train::experiment::{BudgetName, Experiment};
///
/// let experiment = Experiment::named("fig1")?;
/// let runs = experiment.runs(BudgetName::Small)?;
/// assert!(runs.iter().any(|run| run.cell == "relu" && run.seed == 1));
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its name: that of its file.
    #[serde(skip)]
    pub name: String,
    /// A title.
    pub title: String,
    /// The comparison in a few sentences.
    pub about: String,
    /// The publication, with its section.
    pub source: String,
    /// Preset or file of the network of all cells that have none of their own.
    #[serde(default)]
    pub network: Option<String>,
    /// The images.
    pub data: DataSet,
    /// The images of cells with `pretraining`.
    #[serde(default)]
    pub pretraining: Option<DataSet>,
    /// Settings of all runs, as in `run.toml`.
    #[serde(default)]
    pub settings: Table,
    /// The measures.
    pub evaluation: Evaluation,
    /// The comparison of cells.
    #[serde(default)]
    pub comparison: Option<Comparison>,
    /// The two budgets.
    pub budget: Budgets,
    /// The networks with their settings.
    pub cell: Vec<Cell>,
    /// The file, for errors.
    #[serde(skip)]
    origin: String,
}

/// The budgets of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Minutes to hours on a CPU.
    pub small: Budget,
    /// The whole experiment.
    pub full: Budget,
}

impl Experiment {
    /// The experiment of this name, or the one in the file at this path.
    ///
    /// # Errors
    /// [`Error::Setting`] that lists the experiments, if it is neither; those of [`read`](Self::read).
    pub fn named(name: &str) -> Result<Self> {
        if let Some((name, text)) = embedded().iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        let path = Path::new(name);
        if path.extension().is_some() || path.components().count() > 1 || path.exists() {
            return Self::read(path);
        }
        let known: Vec<&str> = embedded().iter().map(|(name, _)| *name).collect();
        let near = keys::nearest(name, known.iter().copied());
        let hint = near.first().map_or(String::new(), |near| format!("; did you mean {near}?"));
        let what = format!("there is no experiment of this name{hint}; there are {}, or a file", known.join(", "));
        Err(Error::setting(name, what))
    }

    /// Reads an experiment's file. Its name is that of the file without the extension.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; those of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        let text = regular_file::read_text(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads the text of an experiment; `origin` is the name of its file.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the file and the key at fault: one that is unknown, a cell that does not exist,
    /// a layer that the network does not have, a setting without an effect.
    pub fn parse(origin: &str, text: &str) -> Result<Self> {
        let table = parse_table(origin, text)?;
        let mut experiment: Self = toml::Value::Table(table)
            .try_into()
            .map_err(|e: toml::de::Error| Error::setting(origin, in_one_line(&e)))?;
        experiment.name = Path::new(origin).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        experiment.origin = origin.to_string();
        experiment.check()?;
        Ok(experiment)
    }

    /// The budget of this name.
    pub fn budget(&self, name: BudgetName) -> &Budget {
        match name {
            BudgetName::Small => &self.budget.small,
            BudgetName::Full => &self.budget.full,
        }
    }

    /// The cells of a budget.
    pub fn cells(&self, budget: BudgetName) -> Vec<&Cell> {
        let chosen = &self.budget(budget).cells;
        let is_in = |cell: &&Cell| chosen.as_ref().is_none_or(|chosen| chosen.contains(&cell.name));
        self.cell.iter().filter(is_in).collect()
    }

    /// The cell of this name.
    pub fn find_cell(&self, name: &str) -> Option<&Cell> {
        self.cell.iter().find(|cell| cell.name == name)
    }

    /// An error of a key of the file.
    fn error(&self, key: &str, what: impl Into<String>) -> Error {
        Error::setting(format!("{}: {key}", self.origin), what)
    }

    /// An error in a part of the file, which the message then names.
    fn within(&self, key: &str, error: Error) -> Error {
        match error {
            Error::Setting { key: inner, what, remedy } => {
                Error::Setting { key: format!("{}: {key}: {inner}", self.origin), what, remedy }
            }
            other => self.error(key, other.to_string()),
        }
    }
}

/// The message of TOML with its key, in one line.
fn in_one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let key = text.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    key.map_or(error.message().to_string(), |key| format!("{key}: {}", error.message()))
}
