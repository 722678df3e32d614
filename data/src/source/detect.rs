//! Detection of the kind of a source by its content; names only distinguish files of one folder.

use std::collections::BTreeSet;
use std::path::Path;

use super::archive::{Container, Member, gunzip_start, is_tar, visit};
use super::{SourceKind, SourceOptions, cifar, file_name, find_train_val, idx, labelled_folder, list, webdataset};
use crate::error::{Error, Result};

/// Number of tar members inspected.
const MAX_INSPECTED: usize = 64;

pub(super) fn detect(path: &Path, options: &SourceOptions) -> Result<SourceKind> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path, "cannot be read"))?;
    if metadata.is_dir() { detect_folder(path, options) } else { detect_file(path, options) }
}

fn detect_folder(path: &Path, options: &SourceOptions) -> Result<SourceKind> {
    if options.labels.is_some() || labelled_folder::is_tiny_val(path)? {
        return Ok(SourceKind::Labelled);
    }
    if cifar::folder_of(path)?.is_some() {
        return Ok(SourceKind::Cifar);
    }
    if idx::folder_of(path)?.is_some() {
        return Ok(SourceKind::Idx);
    }
    let entries = list(path)?;
    let (folders, files): (Vec<_>, Vec<_>) =
        entries.iter().partition(|(_, metadata)| metadata.as_ref().is_some_and(std::fs::Metadata::is_dir));
    let files: Vec<String> = files.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let tars: Vec<&String> = files.iter().filter(|name| name.ends_with(".tar")).collect();
    if let (Some(first), true) = (tars.first(), folders.is_empty()) {
        check_not_ilsvrc(path, &tars)?;
        return match detect_tar(&path.join(first), options)? {
            Some(SourceKind::WebDataset) => Ok(SourceKind::WebDataset),
            Some(_) => Ok(SourceKind::ClassTars),
            None => Err(Error::source(&path.join(first), "is named .tar but is not a tar; copy it again")),
        };
    }
    if let ([_, _, ..], [(one, _)]) = (tars.as_slice(), folders.as_slice()) {
        let what = format!(
            "holds {} tars and the folder {}; expected tars alone, or class folders: move the folder away, or say that the \
             tars are the source (option from: class-tars or webdataset)",
            tars.len(),
            one.display()
        );
        return Err(Error::source(path, what));
    }
    if let Some(train_val) = find_train_val(path)? {
        let what = format!(
            "holds {} and {}, two sets and not two classes; give one of them; both are packed together with no \
             option that says how a single source is read (from, split, labels, classes, val_fraction)",
            file_name(&train_val.train),
            file_name(&train_val.val)
        );
        return Err(Error::source(path, what));
    }
    let lists = labelled_folder::csv_files(path)?;
    match (lists.as_slice(), folders.len()) {
        ([_], 0 | 1) => Ok(SourceKind::Labelled),
        ([list, ..], 2..) => {
            let what = format!(
                "holds folders and {}, either of which may be the labels; say which: option from: folders, or option labels: {}",
                file_name(list),
                list.display()
            );
            Err(Error::source(path, what))
        }
        _ => Ok(SourceKind::Folders),
    }
}

/// Refuses a folder of ILSVRC's downloads, which is three sources.
fn check_not_ilsvrc(path: &Path, tars: &[&String]) -> Result<()> {
    match tars.iter().find(|name| name.contains("_img_") || name.contains("_images_")) {
        Some(one) => Err(Error::source(
            path,
            format!("holds archives of whole sets; give one of them, such as {}", path.join(one).display()),
        )),
        None => Ok(()),
    }
}

fn detect_file(path: &Path, options: &SourceOptions) -> Result<SourceKind> {
    let start = Container::open(path)?.start(0)?;
    if start.starts_with(b"\x89HDF\r\n\x1a\n") || crate::format::is_pack_file(&start) {
        return Ok(SourceKind::Hdf5);
    }
    if let Some(detect) = detect_tar(path, options)? {
        return Ok(if options.labels.is_some() { SourceKind::Tar } else { detect });
    }
    let is_gzip = start.starts_with(&super::archive::GZIP);
    if is_gzip && cifar::begins_archive(&gunzip_start(path)?) {
        return Ok(SourceKind::Cifar);
    }
    if idx::is_idx(&idx::start(path)?) {
        return Ok(SourceKind::Idx);
    }
    if cifar::is_name(&file_name(path)) || cifar::is_pickle(&start) {
        return Ok(SourceKind::Cifar);
    }
    let what = match start.as_slice() {
        [] => "is empty".to_string(),
        [0x1f, 0x8b, ..] => {
            "is compressed by gzip, which cannot be read in place; unpack it first (gunzip, or tar -xzf)".into()
        }
        [b'B', b'Z', b'h', ..] => {
            "is compressed by bzip2, which cannot be read in place; unpack it first (bunzip2)".into()
        }
        [b'P', b'K', 3, 4, ..] => "is a ZIP archive; unpack it first (unzip)".into(),
        _ => {
            let kinds: Vec<&str> = SourceKind::ALL.iter().map(|(_, name)| *name).collect();
            format!(
                "is not a recognized source; expected a folder, a tar, CIFAR's .bin, IDX or HDF5; if it \
                 is one of these, say which (option from: {})",
                kinds.join("|")
            )
        }
    };
    Err(Error::source(path, what))
}

/// Kind of a tar; `None` if the file is not a tar.
fn detect_tar(path: &Path, options: &SourceOptions) -> Result<Option<SourceKind>> {
    let detect_file = Container::open(path)?;
    if !is_tar(&detect_file.start(0)?) {
        return Ok(None);
    }
    let mut members: Vec<Member> = Vec::new();
    visit(&detect_file, 0..detect_file.length, "", |member| {
        members.push(member);
        Ok(members.len() < MAX_INSPECTED)
    })?;
    let ends = |member: &&Member, ending: &str| member.name.ends_with(ending.as_bytes());
    let is_class_tar = |member: &Member| {
        let start = member.offset().and_then(|offset| detect_file.start(offset).ok());
        ends(&member, ".tar") && start.is_some_and(|start| is_tar(&start))
    };
    let class = members.iter().any(|m| webdataset::split_name(&m.name).1 == "cls");
    Ok(Some(match members.first() {
        Some(first) if is_class_tar(first) || members.iter().all(|m| ends(&m, ".tar")) => SourceKind::ClassTars,
        Some(first) if cifar::is_member(first) => SourceKind::Cifar,
        _ if class || has_json_beside(&members, options) => SourceKind::WebDataset,
        _ => SourceKind::Tar,
    }))
}

/// Whether images have their own `.json` and are not in class folders.
fn has_json_beside(members: &[Member], options: &SourceOptions) -> bool {
    let keys = |wanted: fn(&str) -> bool| -> BTreeSet<&[u8]> {
        let found = members.iter().map(|member| webdataset::split_name(&member.name));
        found.filter(|(_, ending)| wanted(ending)).map(|(key, _)| key).collect()
    };
    let jsons = keys(|ending| ending == "json");
    let images = keys(webdataset::is_image);
    let detect_folder = |key: &&[u8]| key.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let folders: BTreeSet<&[u8]> = images.iter().map(|key| &key[..detect_folder(key)]).collect();
    !jsons.is_disjoint(&images) && (folders.len() < 2 || options.label_column.is_some())
}
