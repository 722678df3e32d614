//! Compares parameters from files with those of a network.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// Checks that parameters have the expected names and shapes, each once.
///
/// # Errors
/// [`Error::Parameters`] with the differences.
pub(crate) fn compare<'a>(
    origin: &str,
    expected: &[(&str, &[usize])],
    found: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<()> {
    let mut unmatched: BTreeMap<&str, &[usize]> = expected.iter().copied().collect();
    let mut extra = Vec::new();
    let mut mismatched = Vec::new();
    for (name, shape) in found {
        match unmatched.remove(name) {
            Some(known) if known == shape => {}
            Some(known) => mismatched.push((name.to_string(), known.to_vec(), shape.to_vec())),
            None if expected.iter().any(|(known, _)| *known == name) => extra.push(format!("{name} (given twice)")),
            None => extra.push(name.to_string()),
        }
    }
    let missing: Vec<String> =
        expected.iter().filter(|(name, _)| unmatched.contains_key(name)).map(|(name, _)| name.to_string()).collect();
    if missing.is_empty() && extra.is_empty() && mismatched.is_empty() {
        return Ok(());
    }
    Err(Error::Parameters { origin: origin.into(), missing, extra, mismatched })
}
