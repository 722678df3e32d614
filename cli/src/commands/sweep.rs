//! `alexnet sweep`: runs of one file, each in a process of its own.

use std::fs;
use std::path::Path;

use serde_json::json;
use train::plots::save_png;
use train::runs::{RunSummary, State};
use train::sweep::{self, Sweep, Trial, TrialResult};

use super::trial_runs::{TrialRuns, claim};
use crate::args;
use crate::console::{count, note, print, print_json, table};
use crate::failure::{Failure, Result};
use crate::signals::stop_on_signals;

pub fn run(args: &args::Sweep) -> Result<()> {
    let stop = stop_on_signals()?;
    let plan = Sweep::read(&args.file)?;
    let trials = plan.trials()?;
    let folder = args.out.clone().unwrap_or_else(|| sweep::default_folder(&args.file));
    let text = fs::read(&args.file).map_err(|e| Failure::Failed(format!("{}: {e}", args.file.display())))?;
    claim(&folder, "sweep.toml", &text, "sweep")?;
    let runner = TrialRuns { folder: &folder, jobs: args.jobs, total: Some(trials.len()), announces_starts: false };
    runner.run_all(&trials, &stop);
    report(&plan, &trials, &folder, args.json)?;
    let left = trials.iter().filter(|trial| runner.state(trial) != Some(State::Finished)).count();
    match (stop.signal(), left) {
        (_, 0) => Ok(()),
        (Some(signal), _) => {
            let what = format!("stopped by signal {signal}, with {} to go", count(left as u64, "run"));
            Err(Failure::Stopped { signal, message: format!("{what}; the same command goes on") })
        }
        (None, _) => {
            let what =
                format!("{} of {} runs did not finish; see the .log files in {}", left, trials.len(), folder.display());
            Err(Failure::Failed(format!("{what}; the same command tries them again")))
        }
    }
}

/// Prints the trials, the best first, and plots them.
fn report(plan: &Sweep, trials: &[Trial], folder: &Path, as_json: bool) -> Result<()> {
    let mut results = Vec::new();
    let mut states = Vec::new();
    let runs: Vec<Option<RunSummary>> =
        trials.iter().map(|trial| RunSummary::read(&folder.join(&trial.name)).ok()).collect();
    // Losses of training do not rank among errors of validation.
    let has_best = runs.iter().flatten().any(|run| run.best.is_some());
    for (trial, run) in trials.iter().zip(runs) {
        states.push(run.as_ref().map_or("not begun".to_string(), |run| run.state.to_string()));
        let best = run.and_then(|run| if has_best { run.best.map(|best| best.value) } else { run.loss });
        results.push(TrialResult { name: trial.name.clone(), values: trial.values.clone(), best });
    }
    let vary = plan.vary()?;
    let path = folder.join("sweep.png");
    let title = format!("Sweep of {}: the darker, the lower", count(trials.len() as u64, "run"));
    save_png(&sweep::plot(&vary, &results, &title), &path)?;
    if as_json {
        return print_json(&json!({ "plot": path.display().to_string(), "trials": results, "states": states }));
    }
    let mut order: Vec<usize> = (0..results.len()).collect();
    let value = |at: usize| results[at].best.unwrap_or(f64::INFINITY);
    order.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
    let mut rows = vec![header(&vary)];
    for at in order {
        let result = &results[at];
        let mut row = vec![result.name.clone()];
        row.extend(
            result.values.iter().map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), str::to_string)),
        );
        row.push(result.best.map_or("-".to_string(), |best| format!("{best:.4}")));
        row.push(states[at].clone());
        rows.push(row);
    }
    print(&table(&rows))?;
    note(&format!("the runs are in {}, plotted in {}", folder.display(), path.display()));
    Ok(())
}

fn header(vary: &[(String, sweep::Values)]) -> Vec<String> {
    let names = vary.iter().map(|(name, _)| name.rsplit('.').next().unwrap_or(name).to_string());
    let ends = ["best", "state"].map(str::to_string);
    std::iter::once("run".to_string()).chain(names).chain(ends).collect()
}
