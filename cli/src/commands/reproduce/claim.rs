//! The folder of an experiment, which holds the runs of one experiment, budget and data set.

use std::path::Path;

use serde::Serialize;
use toml::{Table, Value};
use train::experiment::{BudgetName, Experiment, PlannedRun, Source};

use super::super::trial_runs;
use crate::failure::{Failure, Result};

/// The identity of the runs of a folder. A change of anything else, such as a published figure, leaves them as they are.
#[derive(Serialize)]
struct Plan<'a> {
    experiment: &'a str,
    budget: BudgetName,
    run: Vec<Run<'a>>,
}

#[derive(Serialize)]
struct Run<'a> {
    name: &'a str,
    network: &'a Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights_of: Option<&'a String>,
    settings: &'a Table,
}

/// Makes the folder; one of other runs is refused.
pub fn claim_folder(folder: &Path, experiment: &Experiment, budget: BudgetName, runs: &[PlannedRun]) -> Result<()> {
    let run = runs
        .iter()
        .map(|run| Run {
            name: &run.name,
            network: &run.source,
            weights_of: run.weights_of.as_ref(),
            settings: &run.settings,
        })
        .collect();
    let plan = Plan { experiment: &experiment.name, budget, run };
    let text = toml::to_string(&plan).map_err(|e| Failure::Failed(format!("the plan cannot be written: {e}")))?;
    trial_runs::claim(folder, "experiment.toml", text.as_bytes(), "experiment or budget")
}

/// Notes the images of the runs; other images than those of earlier runs are refused.
pub fn claim_images(folder: &Path, fingerprints: &[(&str, [String; 2])]) -> Result<()> {
    let mut table = Table::new();
    for (name, [train, val]) in fingerprints {
        let names = [("train", train), ("val", val)];
        let packs: Table =
            names.into_iter().map(|(name, text)| (name.to_string(), Value::String(text.clone()))).collect();
        table.insert((*name).to_string(), Value::Table(packs));
    }
    let path = folder.join("images.toml");
    let text = table.to_string();
    match std::fs::read(&path) {
        Ok(before) if before == text.as_bytes() => Ok(()),
        Ok(_) => {
            let what = format!("its runs are of other images ({} has the fingerprints of their packs)", path.display());
            Err(Failure::Usage(format!("{}: {what}; give the same --data, or choose another --out", folder.display())))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(files::replace_bytes(&path, text.as_bytes())?),
        Err(e) => Err(Failure::Failed(format!("{}: {e}", path.display()))),
    }
}
