//! Normalization of numeric labels.

use std::path::Path;

use crate::error::{Error, Result};

/// If all labels are numbers, strips fractions of zero (`3.0`, as written by pandas and MXNet).
///
/// # Errors
/// [`Error::Source`] for a fraction among labels that are all numbers.
pub(super) fn strip_zero_fractions(path: &Path, labels: Vec<Option<String>>) -> Result<Vec<Option<String>>> {
    let is_number = |label: &String| label.parse::<f64>().is_ok_and(f64::is_finite) && !label.contains(['e', 'E']);
    let fractional = labels.iter().flatten().any(|label| label.contains('.'));
    if !fractional || !labels.iter().flatten().all(is_number) {
        return Ok(labels);
    }
    let strip_zero_fractions = |label: String| match label.split_once('.') {
        Some((number, zeros)) if zeros.bytes().all(|b| b == b'0') && number.parse::<i64>().is_ok() => {
            Ok(number.to_string())
        }
        Some(_) => {
            let what = format!("the label {label} is a fraction; expected a class, as a whole number or a name");
            Err(Error::source(path, what))
        }
        None => Ok(label),
    };
    labels.into_iter().map(|label| label.map(strip_zero_fractions).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(labels: &[&str]) -> Result<Vec<String>> {
        let labels = labels.iter().map(|label| Some((*label).to_string())).collect();
        Ok(strip_zero_fractions(Path::new("l.csv"), labels)?.into_iter().flatten().collect())
    }

    #[test]
    fn fractions_are_not_classes() {
        assert_eq!(strip(&["0.000000", "12.0", "3"]).unwrap(), ["0", "12", "3"]);
        assert_eq!(strip(&["v1.5", "2.0"]).unwrap(), ["v1.5", "2.0"]);
        assert_eq!(strip(&["1e3", "2.5"]).unwrap(), ["1e3", "2.5"]);
        let error = strip(&["1.0", "0.5"]).unwrap_err().to_string();
        assert_eq!(error, "l.csv: the label 0.5 is a fraction; expected a class, as a whole number or a name");
    }
}
