//! Results as Markdown, in lines of at most 120 columns.

use std::collections::BTreeSet;

use toml::Value;

use super::write::{number, published, signed, with_error};
use super::{Form, Measure, Results, RunResult};
use crate::plan::duration;

/// Columns of a line at most.
const COLUMNS: usize = 120;

impl Results {
    /// The text of `results.md`: a table for each measure, the cells in words, the sources of the published figures,
    /// the searches, and how the results were made. `plot` is the name of the plot's file.
    pub fn markdown(&self, plot: &str) -> String {
        let mut text = format!("# {}\n\n", self.title);
        text.push_str(&wrapped("", &self.about));
        text.push_str(&format!("\n{}", wrapped("", &format!("Source: {}", self.source))));
        text.push_str(&format!("\n![{}]({plot})\n", self.title));
        self.measures.iter().for_each(|measure| text.push_str(&self.measure_table(*measure)));
        text.push_str(
            "\nMeans over the runs, ± their standard error. \"From it\": the mean minus the published figure.\n",
        );
        if self.rows.iter().flat_map(|row| &row.figures).any(|figure| figure.lower_bound.is_some()) {
            text.push_str("\">\": a run ended before it reached the threshold, which lies beyond this mean.\n");
        }
        text.push_str("\n## Cells\n\n");
        self.rows.iter().for_each(|row| text.push_str(&wrapped("- ", &format!("`{}`: {}", row.cell, row.about))));
        text.push_str(&self.published_sources());
        text.push_str(&self.search_tables());
        text.push_str(&self.made_by());
        text
    }

    fn measure_table(&self, measure: Measure) -> String {
        let figures = |row: &super::Row| row.figure(measure).cloned();
        let has_published = self.rows.iter().filter_map(figures).any(|figure| !figure.published.is_empty());
        let compared = self.comparison.as_ref().filter(|comparison| comparison.measure == measure);
        let mut header = vec!["cell", "runs", "mean"];
        if has_published {
            header.extend(["published", "from it"]);
        }
        if let Some(comparison) = compared {
            let form = if comparison.form == Form::Ratio { "ratio" } else { "difference" };
            header.extend(["compared with", form, "published", "same sign"]);
        }
        let mut rows = vec![header.into_iter().map(str::to_string).collect::<Vec<String>>()];
        for row in &self.rows {
            let Some(figure) = row.figure(measure) else { continue };
            let mut cells = vec![format!("`{}`", row.cell), row.runs.to_string()];
            cells.push(with_error(figure));
            if has_published {
                cells.extend([published(figure), signed(figure.from_published, figure.unit)]);
            }
            if let Some(comparison) = compared {
                let base = row.difference.as_ref().map_or("-".into(), |difference| format!("`{}`", difference.from));
                cells.push(base);
                cells.extend(self.comparison_cells(row, measure, comparison.form));
            }
            rows.push(cells);
        }
        let heading = measure.heading(self.threshold);
        format!("\n## {}{}\n\n{}", heading[..1].to_uppercase(), &heading[1..], table(&rows))
    }

    fn published_sources(&self) -> String {
        let mut lines = Vec::new();
        for row in &self.rows {
            for figure in row.figures.iter().flat_map(|figure| &figure.published) {
                let measure = figure.measure.heading(self.threshold);
                lines.push(format!("`{}`, {measure}: {} ({})", row.cell, figure.value, figure.source));
            }
            if let Some(difference) = &row.difference
                && let Some(figure) = &difference.published
            {
                let value = figure.value;
                lines.push(format!("`{}` beside `{}`: {value} ({})", row.cell, difference.from, figure.source));
            }
        }
        if lines.is_empty() {
            return String::new();
        }
        let lines: Vec<String> = lines.iter().map(|line| wrapped("- ", line)).collect();
        format!("\n## Published figures\n\n{}", lines.concat())
    }

    fn search_tables(&self) -> String {
        let mut text = String::new();
        for search in &self.searches {
            text.push_str(&format!("\n## Search of `{}` for `{}`\n\n", search.setting, search.cell));
            let mut rows = vec![vec!["value".into(), format!("training error of epoch {} (%)", search.epochs)]];
            for trial in &search.trials {
                let error = trial.training_error.map_or("failed".into(), |error| number(100.0 * error, "%"));
                let is_chosen = search.chosen.as_ref() == Some(&trial.value);
                rows.push(vec![value_text(&trial.value), error + if is_chosen { ", chosen" } else { "" }]);
            }
            text.push_str(&table(&rows));
        }
        text
    }

    fn made_by(&self) -> String {
        let made = &self.provenance;
        let times = |of: fn(&RunResult) -> Option<&String>| self.runs.iter().filter_map(of);
        let began = times(|run| run.began.as_ref()).min().cloned().unwrap_or_default();
        let ended = times(|run| run.ended.as_ref()).max().cloned().unwrap_or_default();
        let seeds: BTreeSet<u64> = self.runs.iter().map(|run| run.seed).collect();
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        let training = duration(self.seconds());
        let lines = [
            format!("alexnet {}, on {}", made.version, made.device),
            format!("budget {}, seeds {}", self.budget, seeds.join(", ")),
            format!(
                "{}: {} training images, {} validation images, {} classes",
                self.data,
                made.images,
                made.val_images,
                made.classes.len()
            ),
            format!("{training} of training in {} runs, from {began} to {ended}", self.runs.len()),
        ];
        let lines: Vec<String> = lines.iter().map(|line| wrapped("- ", line)).collect();
        format!("\n## Made by\n\n```sh\n{}\n```\n\n{}", made.command, lines.concat())
    }
}

/// A value without needless zeros: `1e30`, `0.001`.
fn value_text(value: &Value) -> String {
    value.as_float().map_or_else(|| value.to_string(), |number| format!("{number:?}"))
}

fn table(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if number == 0 {
            text.push_str(&format!("|{}\n", "---|".repeat(row.len())));
        }
    }
    text
}

/// A text in lines, the first after `mark`, the others as far from the left.
fn wrapped(mark: &str, text: &str) -> String {
    let mut lines = vec![mark.to_string()];
    for word in text.split_whitespace() {
        let line = lines.len() - 1;
        let length = lines[line].chars().count();
        let is_empty = length <= mark.len();
        if !is_empty && length + 1 + word.chars().count() > COLUMNS {
            lines.push(format!("{}{word}", " ".repeat(mark.len())));
        } else {
            lines[line].push_str(if is_empty { "" } else { " " });
            lines[line].push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_wrapped() {
        let text = wrapped("- ", &"word ".repeat(60));
        assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
        assert_eq!(text.split_whitespace().filter(|word| *word == "word").count(), 60);
        assert!(text.starts_with("- word word") && text.lines().skip(1).all(|line| line.starts_with("  word")));
        assert_eq!(wrapped("", ""), "\n");
    }

    #[test]
    fn values_are_short() {
        assert_eq!([value_text(&Value::Float(1e30)), value_text(&Value::Float(0.001))], ["1e30", "0.001"]);
    }
}
