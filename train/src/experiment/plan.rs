//! The runs of an experiment.

use layers::Model;
use serde::Serialize;
use toml::{Table, Value};

use super::{BudgetName, Cell, Experiment};
use crate::config::{UserSettings, keys, merge};
use crate::{Config, Result};

/// A run of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRun {
    /// Its name, and that of its folder: `CELL-SEED`, or `CELL-search-NUMBER` of a search.
    pub name: String,
    /// Its cell.
    pub cell: String,
    /// Its seed.
    pub seed: u64,
    /// The value that it tries for the setting of the cell's search.
    pub tries: Option<Value>,
    /// Whether it trains on the images of `[pretraining]`.
    pub pretraining: bool,
    /// The run whose weights it starts from.
    pub weights_of: Option<String>,
    /// Its settings but `model.name`, `model.weights`, `data.train` and `data.val`; without the setting of a search
    /// that is still to be chosen.
    pub settings: Table,
    /// Its network.
    pub source: Source,
}

/// The network of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A preset or a file, by its name.
    Named(String),
    /// A changed network, as text.
    Edited(String),
}

impl Source {
    /// The network.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn model(&self) -> Result<Model> {
        Ok(match self {
            Self::Named(name) => formats::model_of(name)?,
            Self::Edited(text) => Model::parse(text, "the changed network")?,
        })
    }
}

impl Experiment {
    /// The runs of a budget: first those of searches, then those of each seed, in the order of the cells.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for a network that cannot be made.
    pub fn runs(&self, budget: BudgetName) -> Result<Vec<PlannedRun>> {
        let trained: Vec<&Cell> = self.cells(budget).into_iter().filter(|cell| cell.average_of.is_empty()).collect();
        let mut sources = Vec::new();
        for cell in &trained {
            sources.push(self.source(cell)?);
        }
        let mut runs = Vec::new();
        for (cell, source) in trained.iter().zip(&sources) {
            runs.extend(self.search_runs(cell, source, budget));
        }
        for &seed in &self.budget(budget).seeds {
            for (cell, source) in trained.iter().zip(&sources) {
                runs.push(self.run(cell, source, budget, seed));
            }
        }
        Ok(runs)
    }

    fn run(&self, cell: &Cell, source: &Source, budget: BudgetName, seed: u64) -> PlannedRun {
        let mut settings = self.settings_of(cell, budget);
        merge(&mut settings, &keys::table_of("run.seed", Value::Integer(seed as i64)));
        PlannedRun {
            name: format!("{}-{seed}", cell.name),
            cell: cell.name.clone(),
            seed,
            tries: None,
            pretraining: cell.pretraining,
            weights_of: cell.weights_of.as_ref().map(|other| format!("{other}-{seed}")),
            settings,
            source: source.clone(),
        }
    }

    /// The short runs of a cell's search, with the first seed.
    fn search_runs(&self, cell: &Cell, source: &Source, budget: BudgetName) -> Vec<PlannedRun> {
        let Some(search) = &cell.search else { return Vec::new() };
        let limits = self.budget(budget);
        let seed = limits.seeds[0];
        let trial = |(number, value): (usize, &Value)| {
            let mut run = self.run(cell, source, budget, seed);
            run.name = format!("{}-search-{number}", cell.name);
            run.tries = Some(value.clone());
            let epochs = limits.search_epochs.unwrap_or(1) as i64;
            merge(&mut run.settings, &keys::table_of("run.epochs", Value::Integer(epochs)));
            merge(&mut run.settings, &keys::table_of(&search.setting, value.clone()));
            run
        };
        (1..).zip(&search.values).map(trial).collect()
    }

    /// The settings of a cell in a budget.
    fn settings_of(&self, cell: &Cell, budget: BudgetName) -> Table {
        let limits = self.budget(budget);
        let mut settings = self.settings.clone();
        if let Some(epochs) = limits.epochs {
            merge(&mut settings, &keys::table_of("run.epochs", Value::Integer(epochs as i64)));
        }
        merge(&mut settings, &limits.settings);
        merge(&mut settings, &cell.settings);
        if let Some(own) = limits.settings_of.get(&cell.name) {
            merge(&mut settings, own);
        }
        settings
    }

    /// The network of a cell.
    fn source(&self, cell: &Cell) -> Result<Source> {
        let name = cell.network.as_ref().or(self.network.as_ref()).cloned().unwrap_or_default();
        let key = format!("cell.{}: network", cell.name);
        let model = formats::model_of(&name).map_err(|error| self.within(&key, error.into()))?;
        if cell.edits.is_empty() {
            return Ok(Source::Named(name));
        }
        let key = format!("cell.{}: edits", cell.name);
        let mut edited = model.edited(&cell.edits).map_err(|error| self.within(&key, error.into()))?;
        edited.name = format!("{}-{}", edited.name, cell.name).chars().take(60).collect();
        edited.about = cell.about.clone();
        Ok(Source::Edited(edited.to_toml()))
    }

    /// Checks that the networks can be made and that the settings of all runs are allowed and have an effect.
    pub(super) fn check_runs(&self, budget: BudgetName) -> Result<()> {
        for run in self.runs(budget)? {
            let key = format!("budget.{budget}: cell.{}", run.cell);
            let model = run.source.model().map_err(|error| self.within(&key, error))?;
            let mut settings = run.settings.clone();
            let network = model.name.as_str();
            for (name, value) in [("model.name", network), ("data.train", "train.pack"), ("data.val", "val.pack")] {
                if keys::value(&settings, name).is_some() {
                    return Err(self.error(&format!("{key}: {name}"), "is not for settings: the program gives it"));
                }
                merge(&mut settings, &keys::table_of(name, Value::String(value.into())));
            }
            if run.weights_of.is_some() {
                merge(&mut settings, &keys::table_of("model.weights", Value::String("weights.h5".into())));
            }
            config_of(&model, settings).map_err(|error| self.within(&key, error))?;
        }
        Ok(())
    }
}

impl PlannedRun {
    /// All settings of the run, with the names of its packs.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for a setting that is not allowed or has no effect.
    pub fn config(&self, model: &Model) -> Result<Config> {
        let mut settings = self.settings.clone();
        merge(&mut settings, &keys::table_of("data.val", Value::String("val.pack".into())));
        config_of(model, settings)
    }
}

/// All settings of a run of a network, as `train` takes them.
fn config_of(model: &Model, settings: Table) -> Result<Config> {
    let user = UserSettings { file: Some(("settings".into(), settings)), command_line: Vec::new() };
    user.check_network(&model.name, &model.train)?;
    user.check_length()?;
    let mut all = vec![(model.name.clone(), model.train.clone())];
    all.extend(user.overrides());
    let config = Config::from_overrides(&all)?;
    user.check_effects(&model.train, &config)?;
    Ok(config)
}
