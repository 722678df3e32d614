//! The plots of a report as files.

use std::path::{Path, PathBuf};

use files::folder;
use train::plots::{NotedPrediction, noted_predictions, save_png};

use super::{Contents, Inspection, even_curves};
use crate::commands::eval::{write_csv, write_tables};
use crate::failure::{Failure, Result};

/// Hits, and mistakes, of the plot of predictions.
pub const SHOWN: usize = 5;
/// The most steps whose points are drawn each: of a longer log, means are.
pub const STEPS: usize = 100_000;

/// Writes the curves of the runs, and kernels and evaluation of each: of several, into a folder `run-N` for each.
pub fn save(out: &Path, contents: Contents) -> Result<()> {
    make(out)?;
    // A chart of one run shows each step, pale, and means over them.
    let points = if contents.runs.len() == 1 { STEPS } else { 200 };
    let curves = even_curves(&contents.runs, points)?;
    for plot in curves.plots(&contents.names).iter().filter(|plot| !plot.lines.is_empty()) {
        save_png(&plot.draw(), &out.join(format!("{}.png", plot.name)))?;
        write_csv(&out.join(format!("{}.csv", plot.name)), &plot.rows())?;
    }
    let is_one = contents.runs.len() == 1;
    for (number, inspection) in (1..).zip(contents.inspections) {
        let folder = if is_one { out.to_path_buf() } else { out.join(format!("run-{number}")) };
        make(&folder)?;
        save_inspection(&folder, inspection)?;
    }
    Ok(())
}

fn make(path: &Path) -> Result<()> {
    folder::create_all(path).map_err(|error| Failure::Failed(format!("--plots: {}: {error}", path.display())))
}

fn save_inspection(out: &Path, inspection: Inspection) -> Result<()> {
    if let Some((_, image)) = &inspection.kernels {
        save_png(image, &out.join("kernels.png"))?;
    }
    if let Ok(tested) = inspection.tested {
        write_tables(out, &tested.report, &tested.classification)?;
        save_hits_and_mistakes(out, tested.hits, tested.mistakes)?;
    }
    Ok(())
}

/// Writes `predictions.png`: the first of the hits, then the first of the mistakes. Returns its path.
pub fn save_hits_and_mistakes<R: Into<NotedPrediction>>(out: &Path, hits: Vec<R>, mistakes: Vec<R>) -> Result<PathBuf> {
    let first = |rows: Vec<R>| rows.into_iter().take(SHOWN);
    let shown: Vec<NotedPrediction> = first(hits).chain(first(mistakes)).map(R::into).collect();
    let path = out.join("predictions.png");
    save_png(&noted_predictions(&shown, "The most certain hits, then the worst mistakes"), &path)?;
    Ok(path)
}
