//! A folder of images at any depth with a labels file: a given one, Tiny ImageNet's `val_annotations.txt`, or the only
//! `.csv` in the folder.

use std::path::{Path, PathBuf};

use super::class_folders::{FileReader, walk};
use super::labels::LabelFile;
use super::sample_list::SampleListBuilder;
use super::{Source, SourceOptions, files_of, is_file, is_metadata};
use crate::error::{Error, Result};

/// Labels file of Tiny ImageNet's validation images.
const TINY_VAL: &str = "val_annotations.txt";

pub(super) fn open(root: &Path, options: &SourceOptions) -> Result<Source> {
    let labels = match options.labels {
        Some(path) => LabelFile::from_user(path)?,
        None => LabelFile::from_folder(&find_labels(root)?)?,
    };
    let mut files = Vec::new();
    walk(root, b"", &mut Vec::new(), &mut files)?;
    files.retain(|(name, _)| !is_metadata(name));
    if files.is_empty() {
        return Err(Error::source(root, "holds no images"));
    }
    files.sort_unstable();
    let names: Vec<&[u8]> = files.iter().map(|(name, _)| name.as_slice()).collect();
    let labelled = labels.apply(root, &names, options)?;
    let mut builder = SampleListBuilder::new(labelled.classes);
    for ((name, length), label) in files.iter().zip(labelled.labels) {
        if let Some(label) = label {
            builder.push(name, *length, label);
        }
    }
    Ok(Source::new(builder.finish(), FileReader { root: root.to_path_buf() }).with_notes(labelled.notes))
}

/// The `.csv` files of a folder.
pub(super) fn csv_files(root: &Path) -> Result<Vec<PathBuf>> {
    files_of(root, |name| name.to_lowercase().ends_with(".csv"))
}

/// Whether a folder is Tiny ImageNet's validation set.
pub(super) fn is_tiny_val(root: &Path) -> Result<bool> {
    is_file(&root.join(TINY_VAL))
}

/// The labels file of a folder.
fn find_labels(root: &Path) -> Result<PathBuf> {
    if is_tiny_val(root)? {
        return Ok(root.join(TINY_VAL));
    }
    match <[PathBuf; 1]>::try_from(csv_files(root)?) {
        Ok([only]) => Ok(only),
        Err(found) => {
            let what = format!("holds {} .csv files; say which has the labels (option labels)", found.len());
            Err(Error::source(root, what))
        }
    }
}
