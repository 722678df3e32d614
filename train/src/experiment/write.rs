//! Results as a table and as CSV.

use super::{Difference, Figure, Form, Measure, Results, Row};
use crate::{Error, Result};

/// The header of `results.csv`.
const CSV_HEADER: [&str; 18] = [
    "cell",
    "measure",
    "unit",
    "runs",
    "mean",
    "lower_bound",
    "standard_error",
    "published",
    "from_published",
    "published_source",
    "comparison",
    "comparison_lower_bound",
    "comparison_error",
    "published_comparison",
    "published_comparison_source",
    "same_sign",
    "values",
    "about",
];

impl Results {
    /// The rows of the table, of which the first has the headings.
    pub fn table(&self) -> Vec<Vec<String>> {
        let has_published = |measure: &Measure| {
            self.rows.iter().filter_map(|row| row.figure(*measure)).any(|figure| !figure.published.is_empty())
        };
        let mut header = vec!["cell".to_string(), "runs".to_string()];
        for measure in &self.measures {
            header.push(measure.heading(self.threshold));
            if has_published(measure) {
                header.push("published".into());
                header.push("from it".into());
            }
        }
        if let Some(comparison) = &self.comparison {
            let form = if comparison.form == Form::Ratio { "ratio" } else { "difference" };
            let of = comparison.base.as_ref().map_or(String::new(), |base| {
                if comparison.form == Form::Ratio { format!(" to {base}") } else { format!(" from {base}") }
            });
            header.extend([format!("{form}{of}"), "published".into(), "same sign".into()]);
        }
        let mut rows = vec![header];
        for row in &self.rows {
            let mut cells = vec![row.cell.clone(), row.runs.to_string()];
            for figure in &row.figures {
                cells.push(with_error(figure));
                if has_published(&figure.measure) {
                    cells.push(published(figure));
                    cells.push(signed(figure.from_published, figure.unit));
                }
            }
            if let Some(comparison) = &self.comparison {
                cells.extend(self.comparison_cells(row, comparison.measure, comparison.form));
            }
            rows.push(cells);
        }
        rows
    }

    pub(super) fn comparison_cells(&self, row: &Row, measure: Measure, form: Form) -> [String; 3] {
        let Some(difference) = &row.difference else { return ["-", "-", "-"].map(str::to_string) };
        let Difference { value, lower_bound, standard_error, published, is_same_sign, .. } = difference;
        let unit = if form == Form::Ratio { "ratio" } else { measure.unit() };
        let text = |value: Option<f64>| match form {
            Form::Ratio => value.map_or("-".into(), |value| number(value, unit)),
            Form::Difference => signed(value, unit),
        };
        let error = standard_error.map_or(String::new(), |error| format!(" ± {}", number(error, unit)));
        let agreement = match is_same_sign {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let own = match (value, lower_bound) {
            (None, Some(_)) => format!("> {}", text(*lower_bound)),
            _ => text(*value),
        };
        [format!("{own}{error}"), text(published.as_ref().map(|published| published.value)), agreement.into()]
    }

    /// The text of `results.csv`: a row for each cell and measure, numbers with all digits.
    ///
    /// # Errors
    /// [`Error::Other`] if it cannot be written, which does not happen in memory.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let mut csv = ::csv::Writer::from_writer(Vec::new());
        csv.write_record(CSV_HEADER).map_err(Error::other)?;
        for row in &self.rows {
            for figure in &row.figures {
                csv.write_record(self.csv_row(row, figure)).map_err(Error::other)?;
            }
        }
        csv.into_inner().map_err(|error| Error::other(error.to_string()))
    }

    fn csv_row(&self, row: &Row, figure: &Figure) -> [String; 18] {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let is_compared = self.comparison.as_ref().is_some_and(|comparison| comparison.measure == figure.measure);
        let difference = row.difference.as_ref().filter(|_| is_compared);
        let of_difference = difference.and_then(|difference| difference.published.as_ref());
        let first = figure.published.first();
        let values: Vec<String> = figure.values.iter().map(f64::to_string).collect();
        [
            row.cell.clone(),
            measure_name(figure.measure),
            figure.unit.to_string(),
            row.runs.to_string(),
            number(figure.mean),
            number(figure.lower_bound),
            number(figure.standard_error),
            number(first.map(|published| published.value)),
            number(figure.from_published),
            first.map_or(String::new(), |published| published.source.clone()),
            number(difference.and_then(|difference| difference.value)),
            number(difference.and_then(|difference| difference.lower_bound)),
            number(difference.and_then(|difference| difference.standard_error)),
            number(of_difference.map(|published| published.value)),
            of_difference.map_or(String::new(), |published| published.source.clone()),
            difference.and_then(|difference| difference.is_same_sign).map_or(String::new(), |same| same.to_string()),
            values.join(" "),
            row.about.clone(),
        ]
    }
}

/// The name of a measure in files.
fn measure_name(measure: Measure) -> String {
    serde_json::to_value(measure).ok().and_then(|name| name.as_str().map(str::to_string)).unwrap_or_default()
}

/// A value with the digits that its unit deserves.
pub(super) fn number(value: f64, unit: &str) -> String {
    match unit {
        "s" => format!("{value:.0}"),
        "%" | "epochs" if value.abs() < 10.0 => format!("{value:.2}"),
        "ratio" => format!("{value:.2}"),
        _ => format!("{value:.1}"),
    }
}

/// The mean with its standard error, or its lower bound.
pub(super) fn with_error(figure: &Figure) -> String {
    let Figure { mean, lower_bound, standard_error, unit, .. } = figure;
    let Some(mean) = mean else {
        return lower_bound.map_or("-".into(), |bound| format!("> {}", number(bound, unit)));
    };
    let error = standard_error.map_or(String::new(), |error| format!(" ± {}", number(error, unit)));
    format!("{}{error}", number(*mean, unit))
}

pub(super) fn signed(value: Option<f64>, unit: &str) -> String {
    value.map_or("-".into(), |value| format!("{}{}", if value < 0.0 { "" } else { "+" }, number(value, unit)))
}

pub(super) fn published(figure: &Figure) -> String {
    let values: Vec<String> = figure.published.iter().map(|published| published.value.to_string()).collect();
    if values.is_empty() { "-".into() } else { values.join(", ") }
}
