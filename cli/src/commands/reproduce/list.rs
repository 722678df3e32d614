//! The list of experiments.

use serde_json::json;
use train::experiment::{BudgetName, Experiment, embedded};

use crate::console::{print, print_json};
use crate::failure::Result;

/// Prints what each experiment compares, its data and its cost.
pub fn print_experiments(as_json: bool) -> Result<()> {
    let mut experiments = Vec::new();
    for (name, _) in embedded() {
        experiments.push(Experiment::named(name)?);
    }
    if as_json {
        let mut objects = Vec::new();
        for experiment in &experiments {
            let [small, full] = [BudgetName::Small, BudgetName::Full];
            let runs = json!({ "small": experiment.runs(small)?.len(), "full": experiment.runs(full)?.len() });
            let epochs = json!({ "small": epochs(experiment, small)?, "full": epochs(experiment, full)? });
            objects.push(json!({
                "name": experiment.name,
                "title": experiment.title,
                "about": experiment.about.trim(),
                "source": experiment.source,
                "data": experiment.data.kind.name(),
                "cells": experiment.cell.iter().map(|cell| &cell.name).collect::<Vec<_>>(),
                "runs": runs,
                "epochs": epochs,
            }));
        }
        return print_json(&objects);
    }
    let header = ["name", "compares", "data", "small", "full"].map(str::to_string);
    let mut rows = vec![header.to_vec()];
    for experiment in &experiments {
        rows.push(vec![
            experiment.name.clone(),
            experiment.title.clone(),
            experiment.data.kind.name().to_string(),
            cost(experiment, BudgetName::Small)?,
            cost(experiment, BudgetName::Full)?,
        ]);
    }
    print(&left_aligned(&rows))?;
    print(
        "\nCosts are runs / epochs of all of them; alexnet reproduce NAME --dry-run measures the time on this machine.",
    )
}

/// Rows of texts, each column as wide as its longest.
fn left_aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect::<Vec<String>>().join("\n")
}

fn cost(experiment: &Experiment, budget: BudgetName) -> Result<String> {
    Ok(format!("{} / {}", experiment.runs(budget)?.len(), epochs(experiment, budget)?))
}

/// Epochs of all runs together.
fn epochs(experiment: &Experiment, budget: BudgetName) -> Result<u64> {
    let mut epochs = 0;
    for run in experiment.runs(budget)? {
        let model = run.source.model()?;
        epochs += run.config(&model)?.run.epochs;
    }
    Ok(epochs)
}
