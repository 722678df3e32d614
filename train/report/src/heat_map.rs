//! Heat maps of pairs of classes.

use crate::{Error, Result};

/// A square heat map, such as a confusion matrix: rows are labels, columns predicted classes.
#[derive(Clone, Debug)]
pub struct HeatMap {
    pub(crate) title: String,
    pub(crate) names: Vec<String>,
    pub(crate) percent: Vec<Vec<f64>>,
}

impl HeatMap {
    /// A heat map of the percentages of each row of counts. Names that stand twice get their number.
    ///
    /// # Errors
    /// [`Error::Values`] unless there are as many rows, and counts in each, as names.
    pub fn of_rows(title: impl Into<String>, names: &[impl AsRef<str>], counts: &[Vec<u32>]) -> Result<Self> {
        let title = title.into();
        let expected = names.len();
        if counts.len() != expected || counts.iter().any(|row| row.len() != expected) {
            return Err(Error::Values { title, expected });
        }
        let percent = |row: &Vec<u32>| {
            let sum = row.iter().map(|&count| f64::from(count)).sum::<f64>().max(1.0);
            row.iter().map(|&count| 100.0 * f64::from(count) / sum).collect()
        };
        Ok(Self { title, names: distinct(names), percent: counts.iter().map(percent).collect() })
    }

    /// The text in place of the heat map.
    pub(crate) fn description(&self) -> String {
        let hits: Vec<f64> = (0..self.names.len()).map(|class| self.percent[class][class]).collect();
        let mut text = format!("Heat map of {} labels and predicted classes.", self.names.len());
        let least = (0..hits.len()).min_by(|&a, &b| hits[a].total_cmp(&hits[b]));
        if let Some(least) = least {
            text.push_str(&format!(" Least often right: {}, {:.1} %.", self.names[least], hits[least]));
        }
        text
    }
}

/// Names that a chart takes for different categories.
fn distinct(names: &[impl AsRef<str>]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let mut name = name.as_ref().to_string();
        if all.contains(&name) {
            name = format!("{name} ({number})");
        }
        all.push(name);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_percentages_and_names_distinct() {
        let map = HeatMap::of_rows("m", &["a", "a"], &[vec![3, 1], vec![0, 0]]).unwrap();
        assert_eq!(map.percent, [[75.0, 25.0], [0.0, 0.0]]);
        assert_eq!(map.names, ["a", "a (1)"]);
        assert!(map.description().contains("Least often right: a (1), 0.0 %"), "{}", map.description());
        let error = HeatMap::of_rows("m", &["a"], &[vec![3, 1]]).unwrap_err().to_string();
        assert!(error.contains("expected 1 x 1 values"), "{error}");
    }
}
