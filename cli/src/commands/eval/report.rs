//! The results of `eval` as text, JSON and tables.

use std::fmt::Write as _;
use std::path::Path;

use data::{Views, ilsvrc2012};
use files::folder;
use serde::Serialize;
use train::classification::{Classification, ConfusedPair, Interval, Report};
use train::evaluate::Evaluation;
use train::plots::{Series, confusion, curve, reliability, save_png};

use crate::console::{percent, table};
use crate::failure::{Failure, Result};

/// Pairs of classes that are named as most confused.
const PAIRS: usize = 5;
/// Pairs in the JSON output.
const PAIRS_IN_JSON: usize = 50;
/// The most classes of an image of the confusion matrix.
pub const MAX_DRAWN_CLASSES: usize = 100;

/// The results of an evaluation.
#[derive(Serialize)]
pub struct EvaluationReport {
    /// Number of networks whose predictions were averaged.
    networks: usize,
    /// Crops per image.
    crops: usize,
    /// Number format, as `--precision` takes it.
    pub precision: String,
    #[serde(flatten)]
    pub report: Report,
    class_names: Vec<String>,
    pub most_confused: Vec<ConfusedPair>,
}

impl EvaluationReport {
    /// The report of a test. Classes without names have their numbers.
    pub fn new(networks: usize, views: Views, names: &[String], test: &Classification, seed: u64) -> Self {
        let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
        Self {
            networks,
            crops: views.count(),
            precision: "f32".into(),
            report: test.report(seed),
            class_names: (0..test.classes()).map(name).collect(),
            most_confused: test.confusion().most_confused(PAIRS_IN_JSON),
        }
    }

    /// The name of a class to print.
    pub fn short_name(&self, class: usize) -> &str {
        ilsvrc2012::short_name(&self.class_names[class])
    }
}

/// The lines of an evaluation of a run's first weights.
pub fn lines(result: &Evaluation) -> String {
    format!(
        "images       {}\ncrops        {}\nloss         {:.4}\ntop-1 error  {}\ntop-5 error  {}",
        result.images,
        result.crops,
        result.loss,
        percent(result.top1_error),
        percent(result.top5_error)
    )
}

/// The names and values of the results.
pub fn summary_rows(full: &EvaluationReport) -> Vec<[String; 2]> {
    let report = &full.report;
    let mut rows = vec![["images".to_string(), report.images.to_string()]];
    if full.networks > 1 {
        rows.push(["networks".into(), format!("{}, their probabilities averaged", full.networks)]);
    }
    rows.push(["crops".into(), full.crops.to_string()]);
    match full.precision.as_str() {
        "f32" => {}
        "int8" => rows.push(["precision".into(), "int8: weights of fully connected layers in 8 bits".into()]),
        other => rows.push(["precision".into(), other.into()]),
    }
    rows.push(["loss".into(), format!("{:.4}{}", report.loss, interval(report.loss_interval, |v| format!("{v:.4}")))]);
    let accuracy = format!("accuracy {}", percent(1.0 - report.top1_error));
    let top1 = format!("{}{}, {accuracy}", percent(report.top1_error), interval(report.top1_interval, percent));
    rows.push(["top-1 error".into(), top1]);
    if report.classes.len() > 5 {
        let top5 = format!("{}{}", percent(report.top5_error), interval(report.top5_interval, percent));
        rows.push(["top-5 error".into(), top5]);
    }
    if let Some(roc) = &report.roc {
        rows.push(["ROC area".into(), format!("{:.4}, of {}", roc.area, full.short_name(1))]);
    }
    let mean = &report.mean;
    let means = format!("precision {:.3}, recall {:.3}, F1 {:.3}", mean.precision, mean.recall, mean.f1);
    rows.push(["class means".into(), means]);
    let calibration = &report.calibration;
    let errors = format!(
        "error {} expected, {} at most (confidence against accuracy)",
        percent(calibration.expected_error),
        percent(calibration.maximum_error)
    );
    rows.push(["calibration".into(), errors]);
    if let Some(scaling) = &report.temperature {
        let after = format!("error {} expected, loss {:.4}", percent(scaling.expected_error), scaling.loss);
        rows.push(["temperature".into(), format!("{:.3}: with it {after}", scaling.temperature)]);
    }
    rows
}

/// The lines of the results.
pub fn text(full: &EvaluationReport, per_class: bool) -> String {
    let mut text = String::new();
    for [name, value] in summary_rows(full) {
        let _ = writeln!(text, "{name:<12} {value}");
    }
    text.push_str(&confused(full));
    if per_class {
        text.push_str(&format!("\n{}", table(&class_table(full))));
    }
    text.trim_end().to_string()
}

fn interval(interval: Option<Interval>, show: impl Fn(f64) -> String) -> String {
    interval.map_or(String::new(), |Interval { low, high }| format!(" (95 %: {} to {})", show(low), show(high)))
}

/// The pairs of classes that were confused most.
fn confused(full: &EvaluationReport) -> String {
    let mut text = String::new();
    for (number, pair) in full.most_confused.iter().take(PAIRS).enumerate() {
        let name = if number == 0 { "confused" } else { "" };
        let label = full.short_name(pair.label);
        let predicted = full.short_name(pair.predicted);
        let of = full.report.classes[pair.label].support;
        let _ = writeln!(text, "{name:<12} {label} taken for {predicted}: {} of {of}", pair.images);
    }
    text
}

/// Precision, recall and F1 of each class that has images or predictions, below a header.
pub fn class_table(full: &EvaluationReport) -> Vec<Vec<String>> {
    let share = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.3}"));
    let mut rows = vec![["class", "images", "precision", "recall", "F1"].map(String::from).to_vec()];
    for (class, report) in full.report.classes.iter().enumerate() {
        if report.support + report.predicted > 0 {
            let figures = [report.precision, report.recall, report.f1].map(share);
            let mut row = vec![full.short_name(class).to_string(), report.support.to_string()];
            row.extend(figures);
            rows.push(row);
        }
    }
    rows
}

/// Writes the tables and plots of an evaluation to a folder.
pub fn write_tables(out: &Path, full: &EvaluationReport, test: &Classification) -> Result<()> {
    folder::create_all(out).map_err(|error| Failure::Failed(format!("--out: {}: {error}", out.display())))?;
    let json = serde_json::to_string_pretty(full).map_err(|error| Failure::Failed(error.to_string()))?;
    files::replace_bytes(&out.join("report.json"), json.as_bytes())?;
    write_csv(&out.join("classes.csv"), &class_rows(full))?;
    write_csv(&out.join("confusion.csv"), &confusion_rows(full, test))?;
    write_csv(&out.join("calibration.csv"), &calibration_rows(full))?;
    let names: Vec<&str> = (0..test.classes()).map(|class| full.short_name(class)).collect();
    if test.classes() <= MAX_DRAWN_CLASSES {
        save_png(&confusion(test.confusion(), &names), &out.join("confusion.png"))?;
    }
    save_png(&reliability(&full.report.calibration), &out.join("calibration.png"))?;
    if let Some(roc) = &full.report.roc {
        let row = |point: &train::classification::RocPoint| {
            let threshold = point.threshold.map_or(String::new(), |value| value.to_string());
            vec![threshold, point.false_positives.to_string(), point.true_positives.to_string()]
        };
        let head = ["threshold", "false_positive_rate", "true_positive_rate"].map(String::from).to_vec();
        let rows: Vec<_> = std::iter::once(head).chain(roc.points.iter().map(row)).collect();
        write_csv(&out.join("roc.csv"), &rows)?;
        let points = roc.points.iter().map(|point| (point.false_positives, point.true_positives)).collect();
        let title = format!("ROC curve of {}: area {:.4}", names[1], roc.area);
        let chance = Series { name: "chance".into(), points: vec![(0.0, 0.0), (1.0, 1.0)] };
        let series = [Series { name: names[1].to_string(), points }, chance];
        let image = curve(&series, "false positive rate", "true positive rate", &title);
        save_png(&image, &out.join("roc.png"))?;
    }
    Ok(())
}

fn class_rows(full: &EvaluationReport) -> Vec<Vec<String>> {
    let share = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let mut rows = vec![["class", "images", "predicted", "precision", "recall", "f1"].map(String::from).to_vec()];
    for (name, class) in full.class_names.iter().zip(&full.report.classes) {
        let mut row = vec![name.clone(), class.support.to_string(), class.predicted.to_string()];
        row.extend([class.precision, class.recall, class.f1].map(share));
        rows.push(row);
    }
    rows
}

/// A row for each label, a column for each predicted class.
fn confusion_rows(full: &EvaluationReport, test: &Classification) -> Vec<Vec<String>> {
    let head = std::iter::once("label".to_string()).chain(full.class_names.iter().cloned()).collect();
    let row = |label: usize| {
        let counts = test.confusion().row(label).iter().map(u32::to_string);
        std::iter::once(full.class_names[label].clone()).chain(counts).collect()
    };
    std::iter::once(head).chain((0..test.classes()).map(row)).collect()
}

fn calibration_rows(full: &EvaluationReport) -> Vec<Vec<String>> {
    let mut rows = vec![["low", "high", "images", "confidence", "accuracy"].map(String::from).to_vec()];
    for bin in &full.report.calibration.bins {
        let figures = [bin.low, bin.high].map(|value| format!("{value:.4}"));
        let mut row = figures.to_vec();
        row.extend([bin.images.to_string(), bin.confidence.to_string(), bin.accuracy.to_string()]);
        rows.push(row);
    }
    rows
}

pub fn write_csv(path: &Path, rows: &[Vec<String>]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = rows.iter().try_for_each(|row| writer.write_record(row));
    let bytes = written.and_then(|()| writer.into_inner().map_err(|error| error.into_error().into()));
    let bytes = bytes.map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
    Ok(files::replace_bytes(path, &bytes)?)
}
