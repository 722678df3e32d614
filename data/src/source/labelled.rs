//! A folder of images, at any depth, whose labels are in a file: one that is given, Tiny ImageNet's `val_annotations.txt`, or
//! the only `.csv` in it.

use std::path::{Path, PathBuf};

use super::catalogue::Lister;
use super::folder::{Files, walk};
use super::labels::LabelFile;
use super::{Reading, Source, files_of, is_about_images, is_file};
use crate::error::{Error, Result};

/// The labels of Tiny ImageNet's validation images.
const TINY_VAL: &str = "val_annotations.txt";

pub(super) fn open(root: &Path, reading: &Reading) -> Result<Source> {
    let labels = match reading.labels {
        Some(path) => LabelFile::given(path)?,
        None => LabelFile::found(&own_labels(root)?)?,
    };
    let mut files = Vec::new();
    walk(root, b"", &mut Vec::new(), &mut files)?;
    files.retain(|(name, _)| !is_about_images(name));
    if files.is_empty() {
        return Err(Error::source(root, "holds no images"));
    }
    files.sort_unstable();
    let names: Vec<&[u8]> = files.iter().map(|(name, _)| name.as_slice()).collect();
    let labelled = labels.apply(root, &names, reading)?;
    let mut lister = Lister::new(labelled.classes);
    for ((name, length), label) in files.iter().zip(labelled.labels) {
        if let Some(label) = label {
            lister.push(name, *length, label);
        }
    }
    Ok(Source::new(lister.finish(), Files { root: root.to_path_buf() }).with_notes(labelled.notes))
}

/// The `.csv` files of a folder.
pub(super) fn csv_files(root: &Path) -> Result<Vec<PathBuf>> {
    files_of(root, |name| name.to_lowercase().ends_with(".csv"))
}

/// Whether a folder is Tiny ImageNet's of validation images.
pub(super) fn is_tiny_val(root: &Path) -> Result<bool> {
    is_file(&root.join(TINY_VAL))
}

/// The file of labels that a folder has.
fn own_labels(root: &Path) -> Result<PathBuf> {
    if is_tiny_val(root)? {
        return Ok(root.join(TINY_VAL));
    }
    match <[PathBuf; 1]>::try_from(csv_files(root)?) {
        Ok([only]) => Ok(only),
        Err(found) => {
            let what = format!("holds {} .csv files; say which has the labels (--labels FILE)", found.len());
            Err(Error::source(root, what))
        }
    }
}
