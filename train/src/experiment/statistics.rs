//! Means and their standard errors.

/// The mean; none without values.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard error of the mean, from the sample's standard deviation; none of fewer than two values.
pub(super) fn standard_error(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let count = values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (count - 1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_error_is_that_of_the_sample() {
        assert_eq!([mean(&[]), standard_error(&[1.0])], [None, None]);
        assert_eq!(mean(&[1.0, 2.0, 3.0]), Some(2.0));
        let error = standard_error(&[1.0, 2.0, 3.0]).unwrap();
        assert!((error - 1.0 / 3.0_f64.sqrt()).abs() < 1e-12);
    }
}
