//! Whether parameters from outside are those of a network.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// Fails unless what came has the names and shapes wanted, each once.
pub(crate) fn compare<'a>(
    origin: &str,
    wanted: &[(&str, Vec<usize>)],
    came: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<()> {
    let mut left: BTreeMap<&str, &[usize]> = wanted.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
    let mut extra = Vec::new();
    let mut mismatched = Vec::new();
    for (name, shape) in came {
        match left.remove(name) {
            Some(want) if want == shape => {}
            Some(want) => mismatched.push((name.to_string(), want.to_vec(), shape.to_vec())),
            None if wanted.iter().any(|(known, _)| *known == name) => extra.push(format!("{name} (given twice)")),
            None => extra.push(name.to_string()),
        }
    }
    let missing: Vec<String> =
        wanted.iter().filter(|(name, _)| left.contains_key(name)).map(|(name, _)| name.to_string()).collect();
    if missing.is_empty() && extra.is_empty() && mismatched.is_empty() {
        return Ok(());
    }
    Err(Error::Parameters { origin: origin.into(), missing, extra, mismatched })
}
