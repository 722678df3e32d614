//! Folders that hold a training and a validation set, each a source of its own.

use std::path::{Path, PathBuf};

use super::labelled_folder::csv_files;
use super::split_names::{names_piece, names_split};
use super::{is_folder, list};
use crate::error::{Error, Result};

const TRAIN: [&str; 2] = ["train", "training"];
const VAL: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];
/// Folder names for the contents of a data set, such as images and masks.
const CONTENT: [&str; 6] = ["images", "imgs", "masks", "labels", "annotations", "segmentations"];

/// The sets in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrainValFolders {
    /// Training set.
    pub train: PathBuf,
    /// Validation set, or the test set if there is none.
    pub val: PathBuf,
    /// Test set, if there is also a validation set.
    pub test: Option<PathBuf>,
}

/// Split named by a folder, ignoring case: 0, 1 and 2 are training, validation and test.
fn split_named(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    [TRAIN.as_slice(), &VAL, &TEST].iter().position(|names| names.contains(&name.as_str()))
}

/// Whether a folder is named like a split.
pub(super) fn is_split_name(name: &str) -> bool {
    split_named(name).is_some()
}

/// Refuses folder names that are splits and not classes: two of the usual names, or all of them with such a word, like
/// `training_set` and `test_set`.
///
/// # Errors
/// A description to append to the name of the source.
pub(super) fn check_not_splits(names: &[String]) -> Result<(), String> {
    let usual = names.iter().filter(|name| is_split_name(name)).count();
    if usual < 2 && (names.len() < 2 || !names.iter().all(|name| mentions_split(name))) {
        return Ok(());
    }
    let shown = names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(format!("holds {shown}: splits of a data set, not classes"))
}

fn mentions_split(name: &str) -> bool {
    let name = name.to_lowercase();
    CONTENT.contains(&name.as_str()) || names_split(&name)
}

/// Finds the sets in `root`; `None` if it is not a folder of sets.
///
/// # Errors
/// [`Error::Source`] if `root` holds splits beside other folders, several of one split, or no training set.
pub(crate) fn find_train_val(root: &Path) -> Result<Option<TrainValFolders>> {
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
        let classes = check_not_splits(&folders);
        let advice = "give one of them, or say that they are classes (option from: folders)";
        return classes.map(|()| None).map_err(|what| Error::source(root, format!("{what}; {advice}")));
    }
    let shown = |found: &[&String]| found.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let others: Vec<&String> = folders.iter().filter(|name| !is_split_name(name)).collect();
    let found: Vec<&String> = [train.clone(), val.clone(), test.clone()].concat();
    let beside = if others.is_empty() { String::new() } else { format!(" beside {}", shown(&others)) };
    if !others.is_empty() || train.len() != 1 || val.len() > 1 || test.len() > 1 {
        let example = root.join(found[0]);
        let what = format!(
            "holds {}{beside}: splits of a data set, not classes; give one of them, such as {}, or say that they are classes \
             (option from: folders)",
            shown(&found),
            example.display()
        );
        return Err(Error::source(root, what));
    }
    let path = |name: &&String| root.join(name);
    Ok(Some(match (val.first(), test.first()) {
        (Some(val), test) => TrainValFolders { train: path(&train[0]), val: path(val), test: test.map(path) },
        (None, test) => TrainValFolders { train: path(&train[0]), val: path(test.unwrap_or(&train[0])), test: None },
    }))
}
