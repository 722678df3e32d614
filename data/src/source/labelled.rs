//! A folder of pictures, at any depth, whose labels are in a file: the only `.csv` in it, or one that is given.

use std::path::Path;

use super::catalogue::Lister;
use super::folder::{Files, walk};
use super::labels::LabelFile;
use super::{Reading, Source, detect};
use crate::error::{Error, Result};

/// Endings of files that are about pictures and none themselves.
const NO_PICTURES: [&[u8]; 6] = [b".csv", b".tsv", b".txt", b".md", b".json", b".mat"];

pub(super) fn open(root: &Path, reading: &Reading) -> Result<Source> {
    let list = match reading.labels {
        Some(path) => path.to_path_buf(),
        None => detect::only_csv(root)?,
    };
    let mut files = Vec::new();
    walk(root, b"", &mut Vec::new(), &mut files)?;
    files.retain(|(name, _)| !NO_PICTURES.iter().any(|ending| name.to_ascii_lowercase().ends_with(ending)));
    if files.is_empty() {
        return Err(Error::source(root, "holds no pictures"));
    }
    files.sort_unstable();
    let names: Vec<&[u8]> = files.iter().map(|(name, _)| name.as_slice()).collect();
    let labelled = LabelFile::read(&list)?.apply(root, &names, reading)?;
    let mut lister = Lister::new(labelled.classes);
    for ((name, length), label) in files.iter().zip(labelled.labels) {
        if let Some(label) = label {
            lister.push(name, *length, label);
        }
    }
    Ok(Source::new(lister.finish(), Files { root: root.to_path_buf() }).with_notes(labelled.notes))
}
