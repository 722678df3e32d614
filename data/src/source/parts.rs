//! Folders that hold a training and a validation set, each a source of its own.

use std::path::{Path, PathBuf};

use super::labelled::csv_files;
use super::part_names::{names_part, names_piece};
use super::{is_folder, list};
use crate::error::{Error, Result};

const TRAIN: [&str; 2] = ["train", "training"];
const VAL: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];
/// Names of folders of what a data set has for each image.
const CONTENT: [&str; 6] = ["images", "imgs", "masks", "labels", "annotations", "segmentations"];

/// The sets that a folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The training set.
    pub train: PathBuf,
    /// The validation set; the test set where there is none.
    pub val: PathBuf,
    /// The test set, where there is a validation set too.
    pub test: Option<PathBuf>,
}

/// Which part of a data set a folder is by its name, whatever its case: 0, 1 and 2 are training, validation and test.
fn part_named(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    [TRAIN.as_slice(), &VAL, &TEST].iter().position(|names| names.contains(&name.as_str()))
}

/// Whether a folder is named as a part of a data set.
pub(super) fn is_part(name: &str) -> bool {
    part_named(name).is_some()
}

/// Refuses names of folders that are parts of a data set and no classes: two of the usual names, or all of them with a word
/// in them that says so, as `training_set` and `test_set` have.
///
/// # Errors
/// What they are, in words that follow the name of what holds them.
pub(super) fn check_classes(names: &[String]) -> Result<(), String> {
    let usual = names.iter().filter(|name| is_part(name)).count();
    if usual < 2 && (names.len() < 2 || !names.iter().all(|name| has_part(name))) {
        return Ok(());
    }
    let shown = names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(format!("holds {shown}: parts of a data set, no classes"))
}

fn has_part(name: &str) -> bool {
    let name = name.to_lowercase();
    CONTENT.contains(&name.as_str()) || names_part(&name)
}

/// The sets that `root` holds; `None` if it is no folder of sets.
///
/// # Errors
/// [`Error::Source`] if it holds parts of a data set beside other folders, several of one part, or no training set: no class
/// is named so.
pub(crate) fn parts_of(root: &Path) -> Result<Option<Parts>> {
    if !is_folder(root)? {
        return Ok(None);
    }
    let entries = list(root)?;
    let folders = entries.iter().filter(|(_, metadata)| metadata.as_ref().is_some_and(std::fs::Metadata::is_dir));
    let folders: Vec<String> = folders.map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let named = |names: &[&str]| -> Vec<&String> {
        folders.iter().filter(|folder| names.contains(&folder.to_lowercase().as_str())).collect()
    };
    let train = named(&TRAIN);
    let val = named(&VAL);
    let test = named(&TEST);
    if [&train, &val, &test].iter().filter(|found| !found.is_empty()).count() < 2 {
        // Pieces beside a file of labels, as HAM10000's, are images that have their labels there.
        if folders.iter().all(|name| names_piece(name)) && !csv_files(root)?.is_empty() {
            return Ok(None);
        }
        let classes = check_classes(&folders);
        let advice = "give one of them, or say that they are classes (--from folders)";
        return classes.map(|()| None).map_err(|what| Error::source(root, format!("{what}; {advice}")));
    }
    let shown = |found: &[&String]| found.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let others: Vec<&String> = folders.iter().filter(|name| !is_part(name)).collect();
    let found: Vec<&String> = [train.clone(), val.clone(), test.clone()].concat();
    let beside = if others.is_empty() { String::new() } else { format!(" beside {}", shown(&others)) };
    if !others.is_empty() || train.len() != 1 || val.len() > 1 || test.len() > 1 {
        let example = root.join(found[0]);
        let what = format!(
            "holds {}{beside}: parts of a data set, no classes; give one of them, such as {}, or say that they are classes \
             (--from folders)",
            shown(&found),
            example.display()
        );
        return Err(Error::source(root, what));
    }
    let path = |name: &&String| root.join(name);
    Ok(Some(match (val.first(), test.first()) {
        (Some(val), test) => Parts { train: path(&train[0]), val: path(val), test: test.map(path) },
        (None, test) => Parts { train: path(&train[0]), val: path(test.unwrap_or(&train[0])), test: None },
    }))
}
