//! What a source is, by its content; names only tell files of one folder apart.

use std::path::{Path, PathBuf};

use super::archive::{Container, Member, is_tar, visit};
use super::{SourceKind, cifar, file_name, idx, list, webdataset};
use crate::error::{Error, Result};

/// Members looked at to tell kinds of tars apart.
const LOOKED_AT: usize = 64;

pub(super) fn kind(path: &Path, has_labels: bool) -> Result<SourceKind> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path, "cannot be read"))?;
    if metadata.is_dir() { folder(path, has_labels) } else { file(path, has_labels) }
}

fn folder(path: &Path, has_labels: bool) -> Result<SourceKind> {
    let entries = list(path)?;
    let (folders, files): (Vec<_>, Vec<_>) =
        entries.iter().partition(|(_, metadata)| metadata.as_ref().is_some_and(std::fs::Metadata::is_dir));
    let files: Vec<String> = files.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    if has_labels {
        return Ok(SourceKind::Labelled);
    }
    if files.iter().any(|name| cifar::is_name(name)) {
        return Ok(SourceKind::Cifar);
    }
    if files.iter().any(|name| idx::is_name(name)) {
        return Ok(SourceKind::Idx);
    }
    let tars: Vec<&String> = files.iter().filter(|name| name.ends_with(".tar")).collect();
    if let (Some(first), true) = (tars.first(), folders.is_empty()) {
        check_not_ilsvrc(path, &tars)?;
        return match of_tar(&path.join(first))? {
            Some(SourceKind::WebDataset) => Ok(SourceKind::WebDataset),
            Some(_) => Ok(SourceKind::ClassTars),
            None => Err(Error::source(&path.join(first), "is named .tar but is none; copy it again")),
        };
    }
    let lists = files.iter().filter(|name| name.to_lowercase().ends_with(".csv")).count();
    if lists == 1 && folders.len() < 2 {
        return Ok(SourceKind::Labelled);
    }
    Ok(SourceKind::Folders)
}

/// A folder of ILSVRC's downloads is three sources.
fn check_not_ilsvrc(path: &Path, tars: &[&String]) -> Result<()> {
    match tars.iter().find(|name| name.contains("_img_") || name.contains("_images_")) {
        Some(one) => Err(Error::source(
            path,
            format!("holds archives of whole sets; give one of them, such as {}", path.join(one).display()),
        )),
        None => Ok(()),
    }
}

fn file(path: &Path, has_labels: bool) -> Result<SourceKind> {
    let start = Container::open(path)?.start(0)?;
    if start.starts_with(b"\x89HDF\r\n\x1a\n") || crate::format::is_pack_file(&start) {
        return Ok(SourceKind::Hdf5);
    }
    if let Some(kind) = of_tar(path)? {
        return Ok(if has_labels { SourceKind::Tar } else { kind });
    }
    let unpacked = idx::start(path)?;
    if idx::is_idx(&unpacked) {
        return Ok(SourceKind::Idx);
    }
    if cifar::is_name(&file_name(path)) {
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
                "is no source that is known by its content; expected a folder, a tar, CIFAR's .bin, IDX or HDF5; where it \
                 is one all the same, say which (--from {})",
                kinds.join("|")
            )
        }
    };
    Err(Error::source(path, what))
}

/// Which kind of tar a file is; `None` if it is none.
fn of_tar(path: &Path) -> Result<Option<SourceKind>> {
    let file = Container::open(path)?;
    if !is_tar(&file.start(0)?) {
        return Ok(None);
    }
    let mut members: Vec<Member> = Vec::new();
    visit(&file, 0..file.length, "", |member| {
        members.push(member);
        Ok(members.len() < LOOKED_AT)
    })?;
    let ends = |member: &&Member, ending: &str| member.name.ends_with(ending.as_bytes());
    let is_class_tar = |member: &Member| {
        let start = member.offset.and_then(|offset| file.start(offset).ok());
        ends(&member, ".tar") && start.is_some_and(|start| is_tar(&start))
    };
    let class = members.iter().any(|m| webdataset::key(&m.name).1 == "cls");
    Ok(Some(match members.first() {
        Some(first) if is_class_tar(first) || members.iter().all(|m| ends(&m, ".tar")) => SourceKind::ClassTars,
        _ if class => SourceKind::WebDataset,
        _ => SourceKind::Tar,
    }))
}

/// The only CSV file of a folder.
pub(super) fn only_csv(folder: &Path) -> Result<PathBuf> {
    let found = super::files_of(folder, |name| name.to_lowercase().ends_with(".csv"))?;
    match <[PathBuf; 1]>::try_from(found) {
        Ok([only]) => Ok(only),
        Err(found) => {
            let what = format!("holds {} .csv files; say which has the labels (--labels FILE)", found.len());
            Err(Error::source(folder, what))
        }
    }
}
