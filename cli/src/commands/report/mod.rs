//! `alexnet report`: one page on runs, and their plots as files.

mod evaluation;
mod inspection;
mod overview;
mod plots;

use std::path::{Path, PathBuf};

use report::Page;
use train::runs::{self, Curves, RunCurves, RunSummary};

use self::inspection::{Inspection, InspectionTask, RunData};
use super::{device, trained};
use crate::args::Report;
use crate::console::{count, print};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

pub use plots::{SHOWN, STEPS, save_hits_and_mistakes};

/// Points of a line of a chart at most.
const POINTS: usize = 1000;

/// The contents of a report.
struct Contents {
    runs: Vec<RunSummary>,
    /// A short name of each run.
    names: Vec<String>,
    /// The kernels and the test of each run.
    inspections: Vec<Inspection>,
}

pub fn run(args: &Report) -> Result<()> {
    exit_on_signals()?;
    check_name(&args.out)?;
    let mut found = Vec::new();
    for folder in &args.runs {
        found.push(RunSummary::read(folder)?);
    }
    let data = data_sets(args, &found)?;
    let threads = args.compute.threads.unwrap_or_else(device::all_threads);
    let opened = trained::open_device(&args.compute)?;
    let inspections = opened.run(InspectionTask { args, runs: &found, data, threads })?;
    let contents = Contents { names: names(&found), runs: found, inspections };

    let html = page(args, &contents)?.to_html().map_err(unwritable)?;
    files::replace_bytes(&args.out, html.as_bytes())?;
    let mut done = format!("{}: a report on {}", args.out.display(), count(contents.runs.len() as u64, "run"));
    if let Some(folder) = &args.plots {
        plots::save(folder, contents)?;
        done.push_str(&format!("; its plots are in {}", folder.display()));
    }
    print(&done)
}

fn check_name(out: &Path) -> Result<()> {
    let extension = out.extension().unwrap_or_default();
    if ["html", "htm"].iter().any(|known| extension.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let what = "expected a name that ends in .html: the report is a page";
    Err(Failure::Usage(format!("--out: {}: {what}", out.display())))
}

/// The failure to make a part of the page.
fn unwritable(error: report::Error) -> Failure {
    Failure::Failed(format!("the report cannot be made: {error}"))
}

/// The data set of each run: one of `--data`, or the validation pack of the run.
fn data_sets(args: &Report, runs: &[RunSummary]) -> Result<Vec<RunData>> {
    let given = |path: &PathBuf| RunData { path: Some(path.clone()), is_given: true };
    match args.data.as_slice() {
        [] => Ok(runs.iter().map(RunData::of_settings).collect()),
        [one] => Ok(vec![given(one); runs.len()]),
        many if many.len() == runs.len() => Ok(many.iter().map(given).collect()),
        many => {
            let what = format!("{} for {} runs: give one for all, or one for each", many.len(), runs.len());
            Err(Failure::Usage(format!("--data: {what}")))
        }
    }
}

/// The last parts of the folders of runs, or the folders where these are not distinct.
fn names(runs: &[RunSummary]) -> Vec<String> {
    let whole: Vec<String> = runs.iter().map(|run| run.folder.display().to_string()).collect();
    let last = |run: &RunSummary| run.folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let Some(short) = runs.iter().map(last).collect::<Option<Vec<String>>>() else { return whole };
    let is_distinct = |name: &String| short.iter().filter(|other| *other == name).count() == 1;
    if short.iter().all(is_distinct) { short } else { whole }
}

/// The curves of runs with at most `points` points, all of which are means of equally many steps: a last one of fewer steps
/// would look like a spike.
fn even_curves(runs: &[RunSummary], points: usize) -> Result<Curves> {
    let mut curves = runs::curves(runs, points)?;
    for (curve, run) in curves.runs.iter_mut().zip(runs) {
        drop_partial(curve, run.step as usize, points);
    }
    Ok(curves)
}

/// Drops the last point of a curve of `steps` steps if it is a mean of fewer steps than the others.
fn drop_partial(curve: &mut RunCurves, steps: usize, points: usize) {
    let each = steps.div_ceil(points).max(1);
    if steps.is_multiple_of(each) {
        return;
    }
    for line in [&mut curve.loss, &mut curve.error, &mut curve.speed] {
        if line.len() == steps.div_ceil(each) {
            line.pop();
        }
    }
}

fn page(args: &Report, contents: &Contents) -> Result<Page> {
    let title = match contents.names.as_slice() {
        [one] => format!("Run {one}"),
        many => format!("{} runs", many.len()),
    };
    let introduction = format!(
        "Written by alexnet {} on {}. The file loads nothing: it can be sent and kept.",
        env!("CARGO_PKG_VERSION"),
        train::log::Clock::now()
    );
    let mut page = Page::new(title, introduction);
    page.set_groups(contents.names.clone());
    overview::add_results(&mut page, contents)?;
    let curves = even_curves(&contents.runs, POINTS)?;
    overview::add_curves(&mut page, contents, &curves);
    overview::add_speed(&mut page, contents, &curves)?;
    evaluation::add(&mut page, contents)?;
    overview::add_settings(&mut page, contents)?;
    overview::add_environment(&mut page, contents)?;
    overview::add_commands(&mut page, args, contents);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_fewer_steps_is_dropped() {
        let left = |steps: usize, points: usize| {
            let line = vec![(0.0, 1.0); steps.div_ceil(steps.div_ceil(points))];
            let mut curve = RunCurves { loss: line.clone(), rate: line, ..RunCurves::default() };
            drop_partial(&mut curve, steps, points);
            [curve.loss.len(), curve.rate.len()]
        };
        assert_eq!(left(1418, 200), [177, 178]);
        assert_eq!(left(1600, 200), [200, 200]);
        assert_eq!(left(7, 200), [7, 7]);
        // A log in which steps are missing: nobody knows of how many steps its last point is.
        let mut curve = RunCurves { loss: vec![(0.0, 1.0); 3], ..RunCurves::default() };
        drop_partial(&mut curve, 1418, 200);
        assert_eq!(curve.loss.len(), 3);
    }
}
