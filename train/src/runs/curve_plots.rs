//! The plots of runs' curves: their lines and titles, for any medium.

use image::RgbImage;

use super::curves::{Curves, RateDrop, RunCurves};
use crate::plots::{Mark, Series, curve_with_marks};

/// A plot of one quantity of all runs.
#[derive(Clone, Debug)]
pub struct CurvePlot {
    /// Name for a file: `loss`, `error`, `rate` or `speed`.
    pub name: &'static str,
    /// Title, which says what is drawn.
    pub title: String,
    /// Name of the x axis.
    pub x_label: String,
    /// Name and unit of the y axis.
    pub y_label: &'static str,
    /// The lines.
    pub lines: Vec<CurveLine>,
    /// The drops of the learning rate of all runs.
    pub marks: Vec<Mark>,
}

/// A line of a plot.
#[derive(Clone, Debug)]
pub struct CurveLine {
    /// Number of the run.
    pub run: usize,
    /// Whether it is of the validation.
    pub is_validation: bool,
    /// Name and points.
    pub series: Series,
}

/// The points of a line, from the curves of a run.
type Points = fn(&RunCurves) -> &Vec<(f64, f64)>;

impl Curves {
    /// The plots of loss, error, learning rate and speed. `names` are those of the runs in titles and legends.
    pub fn plots(&self, names: &[String]) -> Vec<CurvePlot> {
        let loss: [(&str, Points); 2] = [("training", |run| &run.loss), ("validation", |run| &run.validation_loss)];
        let error: [(&str, Points); 2] = [("training", |run| &run.error), ("validation", |run| &run.validation_error)];
        vec![
            self.plot("loss", "Loss", "loss (nats)", names, &loss),
            self.plot("error", "Top-1 error", "top-1 error (%)", names, &error),
            self.plot("rate", "Learning rate", "learning rate", names, &[("rate", |run| &run.rate)]),
            self.plot("speed", "Speed of training", "images/s", names, &[("speed", |run| &run.speed)]),
        ]
    }

    fn plot(
        &self,
        name: &'static str,
        what: &str,
        y_label: &'static str,
        names: &[String],
        parts: &[(&str, Points)],
    ) -> CurvePlot {
        let mut lines = Vec::new();
        for (number, run) in self.runs.iter().enumerate() {
            let run_name = names.get(number).unwrap_or(&run.name);
            for (place, (part, points)) in parts.iter().enumerate() {
                let series_name = match (self.runs.len(), parts.len()) {
                    (1, _) => (*part).to_string(),
                    (_, 1) => run_name.clone(),
                    _ => format!("{run_name}, {part}"),
                };
                let series = Series { name: series_name, points: points(run).clone() };
                if series.points.iter().any(|point| point.1.is_finite()) {
                    lines.push(CurveLine { run: number, is_validation: place > 0, series });
                }
            }
        }
        let of_run = match (self.runs.len(), names) {
            (1, [name, ..]) => format!(" of {name}"),
            _ => String::new(),
        };
        let shown: Vec<&str> = parts
            .iter()
            .enumerate()
            .filter(|(place, _)| parts.len() > 1 && lines.iter().any(|line| line.is_validation == (*place > 0)))
            .map(|(_, (part, _))| *part)
            .collect();
        let parts = if shown.is_empty() { String::new() } else { format!(": {}", shown.join(" and ")) };
        let title = format!("{what}{of_run}{parts}");
        CurvePlot { name, title, x_label: self.x_label.clone(), y_label, lines, marks: self.marks() }
    }

    /// The drops of the learning rate, one for those of several runs at one place.
    fn marks(&self) -> Vec<Mark> {
        let mut drops: Vec<RateDrop> = self.runs.iter().flat_map(|run| run.drops.clone()).collect();
        drops.sort_by(|a, b| a.x.total_cmp(&b.x));
        let mark = |same: &[RateDrop]| {
            let mut rates: Vec<String> = same.iter().map(|drop| short(drop.rate)).collect();
            rates.dedup();
            Mark { x: same[0].x, label: format!("rate {}", rates.join(", ")) }
        };
        drops.chunk_by(|a, b| a.x == b.x).map(mark).collect()
    }
}

/// A rate with at most three digits.
fn short(rate: f64) -> String {
    if (1e-3..1e3).contains(&rate) {
        let text = format!("{rate:.5}");
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    let text = format!("{rate:.2e}");
    text.replace(".00e", "e").replace("0e", "e")
}

impl CurvePlot {
    /// The plot as an image of 960 x 600 pixels.
    pub fn draw(&self) -> RgbImage {
        let series: Vec<Series> = self.lines.iter().map(|line| line.series.clone()).collect();
        curve_with_marks(&series, &self.x_label, self.y_label, &self.title, &self.marks)
    }

    /// The points as rows of a table, the first of which names the columns.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![vec!["line".to_string(), self.x_label.clone(), self.y_label.to_string()]];
        for line in &self.lines {
            let row = |(x, y): &(f64, f64)| vec![line.series.name.clone(), x.to_string(), y.to_string()];
            rows.extend(line.series.points.iter().map(row));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: f64) -> RunCurves {
        RunCurves {
            name: "runs/a".into(),
            loss: vec![(0.5, 2.0), (1.0, 1.0)],
            rate: vec![(0.5, 1.0), (1.0, rate)],
            drops: vec![RateDrop { x: 0.5, rate }],
            ..RunCurves::default()
        }
    }

    #[test]
    fn titles_say_what_is_drawn() {
        let mut curves = Curves { x_label: "epochs".into(), runs: vec![run(0.1)] };
        curves.runs[0].validation_loss = vec![(1.0, 1.5)];
        let plots = curves.plots(&["a".into()]);
        assert_eq!(plots[0].title, "Loss of a: training and validation");
        assert_eq!(plots[0].lines[1].series.name, "validation");
        assert!(plots[0].lines[1].is_validation && plots[1].lines.is_empty());
        assert_eq!(plots[2].title, "Learning rate of a");
        assert_eq!(plots[0].rows()[3], ["validation", "1", "1.5"]);
        assert_eq!(plots[0].draw().dimensions(), (960, 600));

        curves.runs.push(run(0.1));
        curves.runs.push(run(0.01));
        curves.runs[0].validation_loss.clear();
        let plots = curves.plots(&["a".into(), "b".into(), "c".into()]);
        assert_eq!(plots[0].title, "Loss: training");
        assert_eq!([&plots[0].lines[1].series.name, &plots[2].lines[1].series.name], ["b, training", "b"]);
        let labels: Vec<&str> = plots[0].marks.iter().map(|mark| mark.label.as_str()).collect();
        assert_eq!(labels, ["rate 0.1, 0.01"]);
    }

    #[test]
    fn rates_are_short() {
        let cases = [(0.1, "0.1"), (0.0025, "0.0025"), (8e-5, "8e-5"), (1.234e-5, "1.23e-5"), (1.2e-6, "1.2e-6")];
        for (rate, text) in cases {
            assert_eq!(short(rate), text);
        }
    }
}
