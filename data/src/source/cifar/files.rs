//! Finding the files of CIFAR in a folder or an archive.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::archive::{Container, GZIP, Member, gunzip_file, members};
use super::super::{Split, file_name, files_of, is_folder, list};
use super::pickle::is_pickle;
use crate::error::{Error, Result};

/// Maximum decompressed size of an archive; CIFAR's have 186 MB.
const MAX_DECOMPRESSED: u64 = 1 << 30;

/// A file of records or class names.
pub(super) struct CifarFile {
    pub name: String,
    pub file: Arc<Container>,
    /// Offset in the container.
    pub start: u64,
    pub length: u64,
}

impl CifarFile {
    /// Reads the whole file; only for small files.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.file.bytes_at(self.start, self.length as usize)
    }
}

/// Whether a file name is of CIFAR's binary version.
pub(in crate::source) fn is_name(name: &str) -> bool {
    let batch = name.strip_prefix("data_batch_").and_then(|rest| rest.strip_suffix(".bin"));
    batch.is_some_and(is_number) || matches!(name, "test_batch.bin" | "train.bin" | "test.bin")
}

/// Whether a file name is of CIFAR-10's Python version.
fn is_python_name(name: &str) -> bool {
    name.strip_prefix("data_batch_").is_some_and(is_number) || name == "test_batch"
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

/// Files of class names of the binary and the Python version.
const CLASS_NAME_FILES: [&str; 4] = ["batches.meta.txt", "fine_label_names.txt", "batches.meta", "meta"];

/// Whether an archive member belongs to CIFAR, by its name or folder.
pub(in crate::source) fn is_member(member: &Member) -> bool {
    let file_name = String::from_utf8_lossy(member.file_name());
    member.name.starts_with(b"cifar-10") || is_name(&file_name) || is_python_name(&file_name)
}

/// Whether a tar that starts with this block is one of CIFAR's.
pub(in crate::source) fn begins_archive(block: &[u8]) -> bool {
    super::super::archive::is_tar(block) && block.starts_with(b"cifar-10")
}

/// Folder with CIFAR's files: `path`, or its only subfolder with such files.
///
/// # Errors
/// [`Error::Source`] if several subfolders have such files.
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
    Ok(!records.is_empty() || is_python_cifar100(folder)?)
}

/// Whether a folder is CIFAR-100's Python version: pickles named `train`, `test` and `meta`.
fn is_python_cifar100(folder: &Path) -> Result<bool> {
    let found = files_of(folder, |name| matches!(name, "train" | "test" | "meta"))?;
    let pickles = found.iter().map(|path| Ok(is_pickle(&Container::open(path)?.start(0)?)));
    Ok(found.len() >= 2 && pickles.collect::<Result<Vec<bool>>>()?.into_iter().all(|is| is))
}

/// All CIFAR files of a folder or an archive, or a single one and the class names beside it.
pub(super) fn find_files(path: &Path) -> Result<Vec<CifarFile>> {
    if is_folder(path)? {
        let folder = folder_of(path)?.unwrap_or_else(|| path.to_path_buf());
        return files_of(&folder, is_of_cifar)?.iter().map(|path| whole(path)).collect();
    }
    let start = Container::open(path)?.start(0)?;
    if start.starts_with(&GZIP) {
        return in_archive(path, gunzip_file(path, MAX_DECOMPRESSED)?);
    }
    if super::super::archive::is_tar(&start) {
        return in_archive(path, Container::open(path)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut find_files = vec![whole(path)?];
    for names in files_of(folder, |name| CLASS_NAME_FILES.contains(&name))? {
        find_files.push(whole(&names)?);
    }
    Ok(find_files)
}

fn is_of_cifar(name: &str) -> bool {
    is_name(name) || is_python_name(name) || matches!(name, "train" | "test") || CLASS_NAME_FILES.contains(&name)
}

fn whole(path: &Path) -> Result<CifarFile> {
    let file = Container::open(path)?;
    Ok(CifarFile { name: file_name(path), start: 0, length: file.length, file: Arc::new(file) })
}

fn in_archive(path: &Path, file: Container) -> Result<Vec<CifarFile>> {
    let (members, _) = members(&file, 0..file.length, "")?;
    let file = Arc::new(file);
    let mut find_files: Vec<CifarFile> = Vec::new();
    for member in members {
        let name = String::from_utf8_lossy(member.file_name()).into_owned();
        let Some(start) = member.offset().filter(|_| is_of_cifar(&name)) else { continue };
        if find_files.iter().any(|part| part.name == name) {
            return Err(Error::source(path, format!("holds {name} twice; expected one of CIFAR's archives")));
        }
        find_files.push(CifarFile { name, file: Arc::clone(&file), start, length: member.length });
    }
    find_files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(find_files)
}

/// Whether a file holds records of a split.
pub(super) fn is_of_split(name: &str, split: Split) -> bool {
    let is_test = matches!(name, "test_batch.bin" | "test.bin" | "test_batch" | "test");
    let is_records = is_name(name) || is_python_name(name) || matches!(name, "train" | "test");
    is_records && is_test == (split == Split::Test)
}

/// Whether a file holds class names.
pub(super) fn is_class_names(name: &str) -> bool {
    CLASS_NAME_FILES.contains(&name)
}
