//! The five batches of CIFAR-10's training set: whether all are there, and whole.

use std::collections::BTreeSet;
use std::path::Path;

use super::RecordFile;
use super::files::CifarFile;
use crate::error::{Error, Result};
use crate::source::series;

/// Batches of the training set.
const BATCHES: u64 = 5;

/// Refuses batches among which one is missing.
pub(super) fn check(path: &Path, chosen: &[&CifarFile]) -> Result<()> {
    let mut numbers: BTreeSet<u64> = chosen.iter().filter_map(|file| number(&file.name)).collect();
    if numbers.is_empty() {
        return Ok(());
    }
    numbers.insert(0);
    match series::gaps(&numbers).first() {
        Some(missing) => {
            let what = format!(
                "data_batch_{missing} is missing; copy it there, or pack the batches that are there one by one"
            );
            Err(Error::source(path, what))
        }
        None => Ok(()),
    }
}

/// Notes on batches that are missing at the end, or shorter than the others.
pub(super) fn notes(files: &[RecordFile]) -> Vec<String> {
    let batches: Vec<(u64, &RecordFile)> = files.iter().filter_map(|file| Some((number(&file.name)?, file))).collect();
    let Some(last) = batches.iter().map(|(number, _)| *number).max() else { return Vec::new() };
    let rest =
        (last < BATCHES).then(|| format!("the last of its batches is data_batch_{last}; CIFAR-10 has {BATCHES}"));
    let most = batches.iter().map(|(_, file)| file.labels.len()).max().unwrap_or(0);
    let short = batches.iter().filter(|(_, file)| file.labels.len() < most).map(|(_, file)| {
        format!("{} has {} images, another batch {most}; it may have been cut short", file.name, file.labels.len())
    });
    rest.into_iter().chain(short).collect()
}

/// The number of a batch by its name.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix("data_batch_")?.trim_end_matches(".bin").parse().ok()
}
