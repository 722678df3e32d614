//! The sections on settings, curves, speed and origin of runs.

use std::path::Path;

use report::{Chart, Line, Mark, Page, Table};
use toml::Value;
use train::config::{keys, settings};
use train::runs::{self, CurvePlot, Curves, RunSummary};

use super::{Contents, unwritable};
use crate::args::Report;
use crate::commands::{info, runs as runs_command};
use crate::failure::Result;
use crate::words::shell_word;

/// A table with a row for each run: state, best value, loss, speed, and the settings in which they differ.
pub fn add_results(page: &mut Page, contents: &Contents) -> Result<()> {
    let mut rows = runs_command::rows(&contents.runs)?;
    let mut head = rows.remove(0);
    for cell in head.iter_mut().filter(|cell| *cell == "best") {
        *cell = best_name(&contents.runs);
    }
    for (row, name) in rows.iter_mut().zip(&contents.names) {
        row[0].clone_from(name);
    }
    let section = page.section("Results");
    section.table(Table::new("Best validation, last loss, speed and state", &head, rows).map_err(unwritable)?);
    for (run, name) in contents.runs.iter().zip(&contents.names) {
        if let Some(message) = &run.message {
            section.text(format!("{name} was ended by an error: {message}"));
        }
    }
    Ok(())
}

/// The header of the best values: with the metric, unless the runs differ in it. An error is no accuracy.
fn best_name(runs: &[RunSummary]) -> String {
    let mut metrics: Vec<&str> =
        runs.iter().filter_map(|run| run.best.as_ref()).map(|best| best.monitor.name()).collect();
    metrics.dedup();
    match metrics.as_slice() {
        [one] => format!("best {one}"),
        _ => "best".into(),
    }
}

/// Loss, error and learning rate over the training.
pub fn add_curves(page: &mut Page, contents: &Contents, curves: &Curves) {
    let section = page.section("Curves");
    if curves.runs.iter().all(|run| run.loss.is_empty()) {
        section.text("There is no step in the logs yet.");
        return;
    }
    section.text(
        "Drag over a part of a chart to enlarge it. Vertical lines mark drops of the learning rate; the error of the \
         training is measured with augmentation and dropout.",
    );
    for plot in curves.plots(&contents.names).iter().filter(|plot| plot.name != "speed" && !plot.lines.is_empty()) {
        section.chart(chart(plot));
    }
}

/// A plot as an interactive chart.
fn chart(plot: &CurvePlot) -> Chart {
    let mut chart = Chart::new(&plot.title, &plot.x_label, plot.y_label);
    chart.lines = plot
        .lines
        .iter()
        .map(|line| Line {
            group: line.run,
            is_dashed: line.is_validation,
            ..Line::new(&line.series.name, line.series.points.clone())
        })
        .collect();
    chart.marks = plot.marks.iter().map(|mark| Mark { x: mark.x, label: mark.label.clone() }).collect();
    chart.is_logarithmic = plot.name == "rate" && plot.lines.iter().all(|line| is_positive(&line.series.points));
    chart
}

fn is_positive(points: &[(f64, f64)]) -> bool {
    points.iter().all(|point| point.1 > 0.0)
}

/// Images per second, and the time of training.
pub fn add_speed(page: &mut Page, contents: &Contents, curves: &Curves) -> Result<()> {
    let section = page.section("Speed");
    let head = ["run", "images/s, median of the last 100 steps", "time of training", "steps"];
    let number = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.1}"));
    let row = |(run, name): (&RunSummary, &String)| {
        let time = run.seconds.map_or("-".to_string(), duration);
        vec![name.clone(), number(run.images_per_s), time, run.step.to_string()]
    };
    let rows = contents.runs.iter().zip(&contents.names).map(row).collect();
    section.table(Table::new("Speed of training, with loading", &head, rows).map_err(unwritable)?);
    for plot in curves.plots(&contents.names).iter().filter(|plot| plot.name == "speed" && !plot.lines.is_empty()) {
        section.chart(chart(plot));
    }
    Ok(())
}

/// Seconds as hours, minutes and seconds.
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The settings in which runs differ, or those of one that are not the defaults; and all of them.
pub fn add_settings(page: &mut Page, contents: &Contents) -> Result<()> {
    let section = page.section("Settings");
    let value = |run: &RunSummary, key: &str| keys::value(&run.settings, key).map_or("-".into(), plain);
    let defaults = train::Config::default().to_table();
    let is_changed =
        |key: &str| contents.runs.iter().any(|run| keys::value(&run.settings, key) != keys::value(&defaults, key));
    let differing = runs::differing(&contents.runs);
    let keys: Vec<&str> = settings().map(|setting| setting.key).filter(|key| is_changed(key)).collect();
    let (caption, shown) = match contents.runs.len() {
        1 => ("Settings that are not the defaults", keys),
        _ => ("Settings that differ", differing),
    };
    let head: Vec<&str> = std::iter::once("setting").chain(contents.names.iter().map(String::as_str)).collect();
    let row =
        |key: &str| std::iter::once(key.to_string()).chain(contents.runs.iter().map(|run| value(run, key))).collect();
    if shown.is_empty() {
        section.text("The runs have the same settings.");
    } else {
        let rows = shown.iter().map(|key| row(key)).collect();
        section.table(Table::new(caption, &head, rows).map_err(unwritable)?);
    }
    for (run, name) in contents.runs.iter().zip(&contents.names) {
        for file in ["run.toml", "model.toml"] {
            if let Ok(text) = files::regular_file::read_text(&run.folder.join(file)) {
                section.details(format!("{name}: {file}"), text);
            }
        }
    }
    Ok(())
}

/// A value as text, without quotation marks.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// Where and when the runs were trained, and where the report was made.
pub fn add_environment(page: &mut Page, contents: &Contents) -> Result<()> {
    let section = page.section("Environment");
    let value = |run: &RunSummary, key: &str| keys::value(&run.settings, key).map_or("-".into(), plain);
    let date = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".into());
    let row = |(run, name): (&RunSummary, &String)| {
        let [device, precision, threads] = ["run.device", "run.precision", "run.threads"].map(|key| value(run, key));
        vec![name.clone(), device, precision, threads, date(&run.began), date(&run.ended), run.state.to_string()]
    };
    let head = ["run", "device", "number format", "threads", "first step (UTC)", "last step (UTC)", "state"];
    let rows = contents.runs.iter().zip(&contents.names).map(row).collect();
    section.table(Table::new("Training", &head, rows).map_err(unwritable)?);
    let rows = info::environment().into_iter().map(|(name, value)| vec![name, value]).collect();
    section.table(Table::new("The machine that made this report", &["", "value"], rows).map_err(unwritable)?);
    Ok(())
}

/// Command lines that train and evaluate again.
pub fn add_commands(page: &mut Page, args: &Report, contents: &Contents) {
    let section = page.section("Reproduce");
    section.text(
        "With the packs that its settings name, the same version on the same device repeats a run to the last digit, \
         if no setting was changed when it was resumed: run.toml has the last settings only. Without the folder of the \
         run, save its run.toml and model.toml from above.",
    );
    for ((run, name), inspection) in contents.runs.iter().zip(&contents.names).zip(&contents.inspections) {
        let folder = |file: &str| word(&run.folder.join(file));
        let config = folder("run.toml");
        let model = folder("model.toml");
        let mut text = format!("alexnet train --config {config} --model {model} --out again");
        if let Ok(tested) = &inspection.tested {
            text.push_str(&format!("\nalexnet eval --data {} --weights {}", word(&tested.data), word(&run.folder)));
        }
        section.listing(name, text);
    }
    let runs: Vec<String> = args.runs.iter().map(|run| word(run)).collect();
    let data: Vec<String> = args.data.iter().map(|data| format!(" --data {}", word(data))).collect();
    section.listing("This report", format!("alexnet report {}{}", runs.join(" "), data.concat()));
}

fn word(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let cases = [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599.0, "59 min 59 s"), (7325.0, "2 h 2 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
