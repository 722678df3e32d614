//! Checks of an experiment's file, before anything runs.

use std::collections::BTreeSet;

use super::{Budget, BudgetName, Cell, Experiment, Measure, Search};
use crate::Result;
use crate::config::Setting;

/// Runs of an experiment at most.
const MOST_RUNS: usize = 10_000;

impl Experiment {
    pub(super) fn check(&self) -> Result<()> {
        self.check_cells()?;
        self.check_measures()?;
        self.check_comparison()?;
        for name in [BudgetName::Small, BudgetName::Full] {
            self.check_budget(name)?;
        }
        Ok(())
    }

    fn check_cells(&self) -> Result<()> {
        if self.cell.is_empty() {
            return Err(self.error("cell", "there is none; write one [[cell]] for each network"));
        }
        let mut names = BTreeSet::new();
        for cell in &self.cell {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if cell.name.is_empty() || cell.name.len() > 60 || !cell.name.chars().all(fits) {
                let what = format!("expected a name of lower-case letters, digits and '-', got {:?}", cell.name);
                return Err(self.error("cell: name", what));
            }
            if !names.insert(&cell.name) {
                return Err(self.error(&format!("cell.{}", cell.name), "there are two cells of this name"));
            }
            self.check_cell(cell)?;
        }
        Ok(())
    }

    fn check_cell(&self, cell: &Cell) -> Result<()> {
        let key = |key: &str| format!("cell.{}: {key}", cell.name);
        for other in &cell.average_of {
            match self.find_cell(other) {
                Some(other) if other.pretraining => {
                    let what = format!("{} trains on other images", other.name);
                    return Err(self.error(&key("average_of"), what));
                }
                Some(other) if other.average_of.is_empty() => {}
                Some(_) => return Err(self.error(&key("average_of"), format!("{other} is an average itself"))),
                None => return Err(self.error(&key("average_of"), self.no_cell(other))),
            }
        }
        if !cell.average_of.is_empty() && self.trains(cell) {
            let what = "an average has no runs of its own: leave out network, edits, settings, search and weights_of";
            return Err(self.error(&key("average_of"), what));
        }
        if cell.average_of.is_empty() && cell.network.is_none() && self.network.is_none() {
            return Err(self.error(&key("network"), "is missing, here and at the top of the file"));
        }
        if let Some(other) = &cell.weights_of {
            match self.find_cell(other) {
                Some(found) if found.average_of.is_empty() && found.weights_of.is_none() && other != &cell.name => {}
                Some(_) => {
                    let what = format!("{other} is no cell that trains from its own initial weights");
                    return Err(self.error(&key("weights_of"), what));
                }
                None => return Err(self.error(&key("weights_of"), self.no_cell(other))),
            }
        }
        if cell.pretraining && self.pretraining.is_none() {
            return Err(self.error(&key("pretraining"), "needs a data set: write a table [pretraining]"));
        }
        if let Some(search) = &cell.search {
            self.check_search(&key("search"), search)?;
        }
        self.check_published(cell)
    }

    /// Whether a cell says anything of runs of its own.
    fn trains(&self, cell: &Cell) -> bool {
        let says = cell.network.is_some() || !cell.edits.is_empty() || !cell.settings.is_empty();
        says || cell.search.is_some() || cell.weights_of.is_some() || cell.pretraining
    }

    fn check_search(&self, key: &str, search: &Search) -> Result<()> {
        if Setting::find(&search.setting).is_none() {
            return Err(self.error(&format!("{key}: setting"), format!("{:?} is no setting", search.setting)));
        }
        if search.values.len() < 2 {
            return Err(self.error(&format!("{key}: values"), "expected two values or more"));
        }
        for budget in [&self.budget.small, &self.budget.full] {
            if budget.search_epochs.is_none_or(|epochs| epochs == 0) {
                return Err(self.error(key, "needs search_epochs of at least 1 in each budget"));
            }
        }
        Ok(())
    }

    fn check_published(&self, cell: &Cell) -> Result<()> {
        let key = |key: &str| format!("cell.{}: {key}", cell.name);
        for figure in &cell.published {
            let measure = figure.measure;
            if figure.unit != measure.unit() {
                let what = format!("{:?}: expected {:?}, the unit of the measure", figure.unit, measure.unit());
                return Err(self.error(&key("published: unit"), what));
            }
            if !figure.value.is_finite() {
                return Err(self.error(&key("published: value"), "expected a finite number"));
            }
        }
        let is_compared = self.comparison.as_ref().is_some_and(|comparison| comparison.base_of(cell).is_some());
        let says_more = cell.published_difference.is_some() || cell.expected.is_some() || cell.compared_with.is_some();
        if says_more && !is_compared {
            let what = "are for cells that are compared with another: write a table [comparison]";
            return Err(self.error(&key("compared_with, expected and published_difference"), what));
        }
        Ok(())
    }

    fn check_measures(&self) -> Result<()> {
        let measures = &self.evaluation.measures;
        if measures.is_empty() {
            return Err(self.error("evaluation: measures", "expected at least one, such as top1"));
        }
        let threshold = self.evaluation.threshold;
        if threshold.is_some_and(|threshold| !(threshold > 0.0 && threshold < 1.0)) {
            return Err(self.error("evaluation: threshold", "expected an error between 0 and 1, as 0.25 for 25 %"));
        }
        let needs = measures.iter().any(|measure| measure.needs_threshold());
        match (needs, threshold) {
            (true, None) => Err(self.error("evaluation: threshold", "is missing: a measure counts up to it")),
            (false, Some(_)) => Err(self.error("evaluation: threshold", "has no effect on these measures")),
            _ => Ok(()),
        }
    }

    fn check_comparison(&self) -> Result<()> {
        let Some(comparison) = &self.comparison else { return Ok(()) };
        let named = self.cell.iter().filter_map(|cell| comparison.base_of(cell)).chain(&comparison.base);
        if let Some(unknown) = named.into_iter().find(|name| self.find_cell(name).is_none()) {
            return Err(self.error("comparison: base or compared_with", self.no_cell(unknown)));
        }
        if !self.evaluation.measures.contains(&comparison.measure) {
            return Err(self.error("comparison: measure", "is not among the measures of [evaluation]"));
        }
        Ok(())
    }

    fn check_budget(&self, name: BudgetName) -> Result<()> {
        let budget = self.budget(name);
        let key = |key: &str| format!("budget.{name}: {key}");
        if budget.seeds.is_empty() {
            return Err(self.error(&key("seeds"), "expected at least one"));
        }
        if budget.seeds.iter().collect::<BTreeSet<_>>().len() < budget.seeds.len() {
            return Err(self.error(&key("seeds"), "are to be different"));
        }
        if budget.classes.is_some_and(|classes| classes < 2) {
            return Err(self.error(&key("classes"), "expected two or more"));
        }
        let named = budget.cells.iter().flatten().chain(budget.settings_of.keys());
        if let Some(other) = named.into_iter().find(|other| self.find_cell(other).is_none()) {
            return Err(self.error(&key("cells or settings_of"), self.no_cell(other)));
        }
        self.check_needed_cells(name, budget)?;
        if budget.seeds.len().saturating_mul(self.cell.len()) > MOST_RUNS {
            return Err(self.error(&key("seeds"), format!("these are more than {MOST_RUNS} runs")));
        }
        self.check_runs(name)
    }

    /// Fails for a cell of a budget that needs another, which the budget leaves out.
    fn check_needed_cells(&self, name: BudgetName, budget: &Budget) -> Result<()> {
        let cells = self.cells(name);
        let has = |other: &String| cells.iter().any(|cell| cell.name == *other);
        for cell in &cells {
            let base = self.comparison.as_ref().and_then(|comparison| comparison.base_of(cell));
            let needed = cell.average_of.iter().chain(&cell.weights_of).chain(base);
            if let Some(other) = needed.into_iter().find(|other| !has(other)) {
                let what = format!("{} needs the cell {other}, which {:?} leaves out", cell.name, budget.cells);
                return Err(self.error(&format!("budget.{name}: cells"), what));
            }
        }
        Ok(())
    }

    fn no_cell(&self, name: &str) -> String {
        let known: Vec<&str> = self.cell.iter().map(|cell| cell.name.as_str()).collect();
        format!("there is no cell {name:?}; there are {}", known.join(", "))
    }

    /// The measures that need a test of several crops.
    pub fn tested_crops(&self) -> Vec<usize> {
        let mut crops: Vec<usize> =
            self.evaluation.measures.iter().filter_map(|measure: &Measure| measure.crops()).collect();
        crops.dedup();
        crops
    }
}
