//! Line charts.

use crate::table::Table;

/// Points of a line in the table of a chart at most.
const TABLE_POINTS: usize = 50;

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Number of the group that it belongs to, such as a run: see [`Page::set_groups`](crate::Page::set_groups).
    pub group: usize,
    /// Whether it is dashed.
    pub is_dashed: bool,
    /// Points (x, y) in order. The line has a gap at NaN and infinite values.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A solid line of the first group.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), group: 0, is_dashed: false, points }
    }
}

/// A marked position on the x axis.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The position.
    pub x: f64,
    /// Its label.
    pub label: String,
}

/// A line chart with hover labels, zoom and a switch to a logarithmic scale.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Title.
    pub title: String,
    /// Name and unit of the x axis.
    pub x_label: String,
    /// Name and unit of the y axis.
    pub y_label: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// Positions that are marked by vertical lines.
    pub marks: Vec<Mark>,
    /// Whether the y axis is logarithmic at first.
    pub is_logarithmic: bool,
}

impl Chart {
    /// A chart without lines.
    pub fn new(title: impl Into<String>, x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            lines: Vec::new(),
            marks: Vec::new(),
            is_logarithmic: false,
        }
    }

    /// The text in place of the chart: the axes, and where each line begins and ends.
    pub(crate) fn description(&self) -> String {
        let mut text = format!("Line chart of {} over {}.", self.y_label, self.x_label);
        for line in &self.lines {
            let drawn = || line.points.iter().filter(|point| is_drawn(point));
            if let (Some(first), Some(last)) = (drawn().next(), drawn().next_back()) {
                text.push_str(&format!(
                    " {}: from {} at {} to {} at {}.",
                    line.name,
                    number(first.1),
                    number(first.0),
                    number(last.1),
                    number(last.0)
                ));
            }
        }
        for mark in &self.marks {
            text.push_str(&format!(" Marked at {}: {}.", number(mark.x), mark.label));
        }
        text
    }

    /// The values of the lines; of long ones some points, the first and the last among them.
    pub(crate) fn values(&self) -> Table {
        let mut rows = Vec::new();
        for line in &self.lines {
            let drawn: Vec<&(f64, f64)> = line.points.iter().filter(|point| is_drawn(point)).collect();
            let shown = drawn.len().min(TABLE_POINTS);
            for place in 0..shown {
                let at = if shown > 1 { place * (drawn.len() - 1) / (shown - 1) } else { 0 };
                let (x, y) = *drawn[at];
                rows.push(vec![line.name.clone(), number(x), number(y)]);
            }
        }
        let head = ["line".to_string(), self.x_label.clone(), self.y_label.clone()];
        Table { caption: format!("Values of {}", self.title), head: head.to_vec(), rows }
    }
}

fn is_drawn((x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

/// A number with five significant digits.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        return format!("{value:.4e}");
    }
    let whole = if size < 1.0 { 0 } else { size.log10().floor() as usize };
    let digits = 4_usize.saturating_sub(whole) + if size < 0.1 { 2 } else { 0 };
    let text = format!("{value:.digits$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_five_digits() {
        let cases =
            [(0.0, "0"), (1.0, "1"), (0.5, "0.5"), (0.012345, "0.012345"), (123.456, "123.46"), (45_000.0, "45000")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(1e-7), "1.0000e-7");
        assert_eq!(number(f64::NAN), "NaN");
    }

    #[test]
    fn a_table_of_values_has_the_first_and_the_last_point() {
        let mut chart = Chart::new("Loss", "steps", "nats");
        let points = (0..1000).map(|x| (f64::from(x), if x == 0 { f64::NAN } else { 2.0 })).collect();
        chart.lines.push(Line::new("training", points));
        let table = chart.values();
        assert_eq!(table.rows.len(), TABLE_POINTS);
        assert_eq!(table.rows[0], ["training", "1", "2"]);
        assert_eq!(table.rows[TABLE_POINTS - 1], ["training", "999", "2"]);
        assert!(chart.description().contains("training: from 2 at 1 to 2 at 999."), "{}", chart.description());
        chart.lines[0].points.clear();
        assert!(chart.values().rows.is_empty());
    }
}
