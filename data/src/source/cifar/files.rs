//! Which files of a folder or an archive are CIFAR's, and of which part.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::archive::{Container, GZIP, Member, gunzipped, members};
use super::super::{Split, file_name, files_of, is_folder, list};
use super::pickle::is_pickle;
use crate::error::{Error, Result};

/// The most that an archive unpacks to: CIFAR's have 186 MB.
const MAX_UNPACKED: u64 = 1 << 30;

/// A file of records, or of names of classes.
pub(super) struct Part {
    pub name: String,
    pub file: Arc<Container>,
    /// Where it lies in the container.
    pub start: u64,
    pub length: u64,
}

impl Part {
    /// All of it; ask only for small ones.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.file.bytes_at(self.start, self.length as usize)
    }
}

/// Whether a file by this name is of CIFAR's binary form.
pub(in crate::source) fn is_name(name: &str) -> bool {
    let batch = name.strip_prefix("data_batch_").and_then(|rest| rest.strip_suffix(".bin"));
    batch.is_some_and(is_number) || matches!(name, "test_batch.bin" | "train.bin" | "test.bin")
}

/// Whether a file by this name is of CIFAR-10's Python form.
fn is_python_name(name: &str) -> bool {
    name.strip_prefix("data_batch_").is_some_and(is_number) || name == "test_batch"
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

/// Names of classes, of the binary and the Python form.
const NAMES: [&str; 4] = ["batches.meta.txt", "fine_label_names.txt", "batches.meta", "meta"];

/// Whether a member of an archive is a file of CIFAR, or lies in the folder of one.
pub(in crate::source) fn is_member(member: &Member) -> bool {
    let base = String::from_utf8_lossy(member.base());
    member.name.starts_with(b"cifar-10") || is_name(&base) || is_python_name(&base)
}

/// Whether a tar that begins with this block is one of CIFAR's.
pub(in crate::source) fn begins_archive(block: &[u8]) -> bool {
    super::super::archive::is_tar(block) && block.starts_with(b"cifar-10")
}

/// The folder that has CIFAR's files: `path`, or the only one in it that does.
///
/// # Errors
/// [`Error::Source`] if several have.
pub(in crate::source) fn folder_of(path: &Path) -> Result<Option<PathBuf>> {
    if holds_records(path)? {
        return Ok(Some(path.to_path_buf()));
    }
    let mut found = Vec::new();
    for (name, metadata) in list(path)? {
        let is_folder = metadata.is_some_and(|m| m.is_dir());
        if is_folder && name.to_string_lossy().starts_with("cifar-10") && holds_records(&path.join(&name))? {
            found.push(path.join(&name));
        }
    }
    match found.as_slice() {
        [_, _, ..] => {
            let names: Vec<String> = found.iter().map(|folder| file_name(folder)).collect();
            let example = found[0].display();
            Err(Error::source(path, format!("holds {}; give one of them, such as {example}", names.join(" and "))))
        }
        _ => Ok(found.pop()),
    }
}

fn holds_records(folder: &Path) -> Result<bool> {
    let records = files_of(folder, |name| is_name(name) || is_python_name(name))?;
    Ok(!records.is_empty() || is_python_hundred(folder)?)
}

/// Whether a folder is of CIFAR-100's Python form: pickles named `train`, `test` and `meta`.
fn is_python_hundred(folder: &Path) -> Result<bool> {
    let found = files_of(folder, |name| matches!(name, "train" | "test" | "meta"))?;
    let pickles = found.iter().map(|path| Ok(is_pickle(&Container::open(path)?.start(0)?)));
    Ok(found.len() >= 2 && pickles.collect::<Result<Vec<bool>>>()?.into_iter().all(|is| is))
}

/// All files of CIFAR's: of a folder, of an archive, or one and the names of classes beside it.
pub(super) fn parts(path: &Path) -> Result<Vec<Part>> {
    if is_folder(path)? {
        let folder = folder_of(path)?.unwrap_or_else(|| path.to_path_buf());
        return files_of(&folder, is_of_cifar)?.iter().map(|path| whole(path)).collect();
    }
    let start = Container::open(path)?.start(0)?;
    if start.starts_with(&GZIP) {
        return in_archive(path, gunzipped(path, MAX_UNPACKED)?);
    }
    if super::super::archive::is_tar(&start) {
        return in_archive(path, Container::open(path)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut parts = vec![whole(path)?];
    for names in files_of(folder, |name| NAMES.contains(&name))? {
        parts.push(whole(&names)?);
    }
    Ok(parts)
}

fn is_of_cifar(name: &str) -> bool {
    is_name(name) || is_python_name(name) || matches!(name, "train" | "test") || NAMES.contains(&name)
}

fn whole(path: &Path) -> Result<Part> {
    let file = Container::open(path)?;
    Ok(Part { name: file_name(path), start: 0, length: file.length, file: Arc::new(file) })
}

fn in_archive(path: &Path, file: Container) -> Result<Vec<Part>> {
    let (members, _) = members(&file, 0..file.length, "")?;
    let file = Arc::new(file);
    let mut parts: Vec<Part> = Vec::new();
    for member in members {
        let name = String::from_utf8_lossy(member.base()).into_owned();
        let Some(start) = member.offset().filter(|_| is_of_cifar(&name)) else { continue };
        if parts.iter().any(|part| part.name == name) {
            return Err(Error::source(path, format!("holds {name} twice; expected one of CIFAR's archives")));
        }
        parts.push(Part { name, file: Arc::clone(&file), start, length: member.length });
    }
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(parts)
}

/// Whether a file holds records of a part of the set.
pub(super) fn is_of(name: &str, split: Split) -> bool {
    let is_test = matches!(name, "test_batch.bin" | "test.bin" | "test_batch" | "test");
    let is_records = is_name(name) || is_python_name(name) || matches!(name, "train" | "test");
    is_records && is_test == (split == Split::Test)
}

/// Whether a file holds names of classes.
pub(super) fn is_names(name: &str) -> bool {
    NAMES.contains(&name)
}
