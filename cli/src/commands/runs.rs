//! `alexnet runs` and `alexnet compare`.

use std::path::Path;

use serde_json::{Value, json};
use train::plots::{Series, check_png_name, curve, save_png, stacked};
use train::runs::{self, RunCurves, RunSummary};

use crate::args::{Compare, Runs};
use crate::console::{note, percent, print, print_json, table};
use crate::failure::{Failure, Result};

/// Characters of a cell: paths of packs are long.
const CELL: usize = 40;
/// Points of a curve at most: a chart draws more of them pale.
const POINTS: usize = 200;

pub fn run(args: &Runs) -> Result<()> {
    let mut found = read_all(&args.dir)?;
    if found.is_empty() {
        return Err(Failure::Failed(format!("{}: holds no run (no run.toml in it or below it)", args.dir.display())));
    }
    runs::sort(&mut found, &args.sort).map_err(|error| Failure::Usage(format!("--sort: {error}")))?;
    if args.json {
        let values: Vec<Value> = found.iter().map(object).collect();
        return print_json(&values);
    }
    print(&table(&rows(&found)?))
}

/// The runs in a folder; a run that cannot be read is noted.
pub fn read_all(folder: &Path) -> Result<Vec<RunSummary>> {
    if !folder.exists() {
        let what = "there is no such folder; name the folder of the runs, or . for all below this one";
        return Err(Failure::Failed(format!("{}: {what}", folder.display())));
    }
    let mut found = Vec::new();
    for path in runs::find(folder)? {
        match RunSummary::read(&path) {
            Ok(summary) => found.push(summary),
            Err(error) => note(&format!("note: {error}; this run is left out")),
        }
    }
    Ok(found)
}

/// A run with its settings, as JSON.
pub fn object(run: &RunSummary) -> Value {
    json!(run)
}

/// The table of runs, with a header and the settings in which they differ.
pub fn rows(found: &[RunSummary]) -> Result<Vec<Vec<String>>> {
    let columns = columns(found);
    let header = |column: &&str| match *column {
        "speed" => "images/s".to_string(),
        other => other.rsplit('.').next().unwrap_or(other).to_string(),
    };
    let mut rows = vec![columns.iter().map(header).collect::<Vec<String>>()];
    for run in found {
        let cell_of = |column: &&'static str| -> Result<String> {
            match &run.best {
                Some(best) if *column == "best" && best.monitor.is_error() => Ok(percent(best.value)),
                _ => Ok(cell(&run.value(column)?)),
            }
        };
        let cells: Result<Vec<String>> = columns.iter().map(cell_of).collect();
        rows.push(cells?);
    }
    Ok(rows)
}

/// The columns of a table, with the settings that differ before the numbers.
fn columns(found: &[RunSummary]) -> Vec<&'static str> {
    let [before @ .., _, _, _, _, _] = runs::COLUMNS;
    let [_, _, _, numbers @ ..] = runs::COLUMNS;
    before.into_iter().chain(runs::differing(found)).chain(numbers).collect()
}

/// A text for a cell: of a long one the end, which tells paths apart.
fn cell(text: &str) -> String {
    let length = text.chars().count();
    if text.is_empty() {
        return "-".into();
    }
    if length <= CELL {
        return text.to_string();
    }
    format!("...{}", text.chars().skip(length - CELL + 3).collect::<String>())
}

pub fn compare(args: &Compare) -> Result<()> {
    check_png_name(&args.out).map_err(|error| Failure::Usage(format!("--out: {error}")))?;
    let mut found = Vec::new();
    for folder in &args.runs {
        found.push(RunSummary::read(folder)?);
    }
    let curves = runs::curves(&found, POINTS)?;
    let series = |points: fn(&RunCurves) -> &Vec<(f64, f64)>| -> Vec<Series> {
        let all = curves.runs.iter().map(|run| Series { name: run.name.clone(), points: points(run).clone() });
        all.filter(|series| !series.points.is_empty()).collect()
    };
    let mut charts = vec![curve(&series(|run| &run.loss), &curves.x_label, "loss (nats)", "Training loss")];
    let errors = series(|run| &run.validation_error);
    if !errors.is_empty() {
        charts.push(curve(&errors, &curves.x_label, "top-1 error (%)", "Validation error"));
    }
    save_png(&stacked(&charts), &args.out)?;
    if args.json {
        let values: Vec<Value> = found.iter().map(object).collect();
        let plot = args.out.display().to_string();
        return print_json(&json!({ "runs": values, "differing": runs::differing(&found), "plot": plot }));
    }
    print(&table(&transposed(&rows(&found)?)))?;
    note(&format!("the curves are in {}", args.out.display()));
    Ok(())
}

/// Rows as columns: a run has many values, and few runs are compared.
fn transposed(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width).map(|at| rows.iter().map(|row| row[at].clone()).collect()).collect()
}
