//! What a source is, by its content; names only tell files of one folder apart.

use std::collections::BTreeSet;
use std::path::Path;

use super::archive::{Container, Member, is_tar, unpacked_start, visit};
use super::{Reading, SourceKind, cifar, file_name, idx, labelled, list, parts_of, webdataset};
use crate::error::{Error, Result};

/// Members looked at to tell kinds of tars apart.
const LOOKED_AT: usize = 64;

pub(super) fn kind(path: &Path, reading: &Reading) -> Result<SourceKind> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path, "cannot be read"))?;
    if metadata.is_dir() { folder(path, reading) } else { file(path, reading) }
}

fn folder(path: &Path, reading: &Reading) -> Result<SourceKind> {
    if reading.labels.is_some() || labelled::is_tiny_val(path)? {
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
        return match of_tar(&path.join(first), reading)? {
            Some(SourceKind::WebDataset) => Ok(SourceKind::WebDataset),
            Some(_) => Ok(SourceKind::ClassTars),
            None => Err(Error::source(&path.join(first), "is named .tar but is none; copy it again")),
        };
    }
    if let ([_, _, ..], [(one, _)]) = (tars.as_slice(), folders.as_slice()) {
        let what = format!(
            "holds {} tars and the folder {}; expected tars alone, or class folders: move the folder away, or say that the \
             tars are the source (--from class-tars, or --from webdataset)",
            tars.len(),
            one.display()
        );
        return Err(Error::source(path, what));
    }
    if let Some(parts) = parts_of(path)? {
        let what = format!(
            "holds {} and {}, two sets and not two classes; give one of them; both are packed by `alexnet pack` with no \
             option that says how a single source is read (--from, --split, --labels, --classes-of, --val-fraction)",
            file_name(&parts.train),
            file_name(&parts.val)
        );
        return Err(Error::source(path, what));
    }
    let lists = labelled::csv_files(path)?;
    match (lists.as_slice(), folders.len()) {
        ([_], 0 | 1) => Ok(SourceKind::Labelled),
        ([list, ..], 2..) => {
            let what = format!(
                "holds folders and {}, which may both be the labels; say which: --from folders, or --labels {}",
                file_name(list),
                list.display()
            );
            Err(Error::source(path, what))
        }
        _ => Ok(SourceKind::Folders),
    }
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

fn file(path: &Path, reading: &Reading) -> Result<SourceKind> {
    let start = Container::open(path)?.start(0)?;
    if start.starts_with(b"\x89HDF\r\n\x1a\n") || crate::format::is_pack_file(&start) {
        return Ok(SourceKind::Hdf5);
    }
    if let Some(kind) = of_tar(path, reading)? {
        return Ok(if reading.labels.is_some() { SourceKind::Tar } else { kind });
    }
    let is_gzip = start.starts_with(&super::archive::GZIP);
    if is_gzip && cifar::begins_archive(&unpacked_start(path)?) {
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
                "is no source that is known by its content; expected a folder, a tar, CIFAR's .bin, IDX or HDF5; where it \
                 is one all the same, say which (--from {})",
                kinds.join("|")
            )
        }
    };
    Err(Error::source(path, what))
}

/// Which kind of tar a file is; `None` if it is none.
fn of_tar(path: &Path, reading: &Reading) -> Result<Option<SourceKind>> {
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
        let start = member.offset().and_then(|offset| file.start(offset).ok());
        ends(&member, ".tar") && start.is_some_and(|start| is_tar(&start))
    };
    let class = members.iter().any(|m| webdataset::key(&m.name).1 == "cls");
    Ok(Some(match members.first() {
        Some(first) if is_class_tar(first) || members.iter().all(|m| ends(&m, ".tar")) => SourceKind::ClassTars,
        Some(first) if cifar::is_member(first) => SourceKind::Cifar,
        _ if class || has_json_beside(&members, reading) => SourceKind::WebDataset,
        _ => SourceKind::Tar,
    }))
}

/// Whether images have a `.json` of their own beside them, and are not in class folders.
fn has_json_beside(members: &[Member], reading: &Reading) -> bool {
    let keys = |wanted: fn(&str) -> bool| -> BTreeSet<&[u8]> {
        let found = members.iter().map(|member| webdataset::key(&member.name));
        found.filter(|(_, ending)| wanted(ending)).map(|(key, _)| key).collect()
    };
    let jsons = keys(|ending| ending == "json");
    let images = keys(webdataset::is_image);
    let folder = |key: &&[u8]| key.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let folders: BTreeSet<&[u8]> = images.iter().map(|key| &key[..folder(key)]).collect();
    !jsons.is_disjoint(&images) && (folders.len() < 2 || reading.label_column.is_some())
}
