//! A tar of images: with labels, any images (`ILSVRC2012_img_val.tar`); without, class folders.
//!
//! Class folders are where paths diverge: `photos/train/ant/1.jpg` and `photos/train/bee/2.jpg` are of the classes
//! `ant` and `bee`. Files beside the class folders are ignored. Images are sorted by name in byte order.

use std::path::Path;

use super::archive::{self, Container, Member, MemberReader, members_and_folders, replaced_note};
use super::class_index::ClassIndex;
use super::labels::LabelFile;
use super::layout::Layout;
use super::sample_list::SampleListBuilder;
use super::train_val::check_not_splits;
use super::{Source, SourceOptions, beside_note, file_name, is_metadata, metadata_note};
use crate::error::{Error, Result};

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let file = Container::open(path)?;
    let (mut members, mut folders, ended) = members_and_folders(&file, 0..file.length, "")?;
    let others: Vec<Member> = members.extract_if(.., |member| is_metadata(&member.name)).collect();
    if members.is_empty() {
        return Err(Error::source(path, "holds no images"));
    }
    let metadata = metadata_note(others.len(), others.first().map_or(b"", |first| &first.name));
    folders.extend(others.into_iter().map(|member| member.name));
    let replaced = replaced_note(archive::sort(&mut members));
    let source = match options.labels {
        Some(labels) => open_labelled(path, &members, labels, options)?,
        None => open_class_folders(path, &members, &folders, options)?,
    };
    let notes = metadata.into_iter().chain(replaced).chain(ended.notes(&file_name(path)));
    Ok(source.with_notes(notes.collect()))
}

fn open_labelled(path: &Path, members: &[Member], labels: &Path, options: &SourceOptions) -> Result<Source> {
    let names: Vec<&[u8]> = members.iter().map(|m| m.name.as_slice()).collect();
    let labelled = LabelFile::from_user(labels)?.apply(path, &names, options)?;
    let mut builder = SampleListBuilder::new(labelled.classes);
    let mut reader = MemberReader::default();
    reader.begin_file(path);
    for (member, label) in members.iter().zip(labelled.labels) {
        if let Some(label) = label {
            builder.push(&member.name, member.length, label);
            reader.push(member);
        }
    }
    Ok(Source::new(builder.finish(), reader.open()?).with_notes(labelled.notes))
}

/// `others` are the names of folders, and of files in folders, that are not images.
fn open_class_folders(path: &Path, members: &[Member], others: &[Vec<u8>], options: &SourceOptions) -> Result<Source> {
    let root = common_root(members);
    let mut found: Vec<String> = Vec::new();
    let mut images = Vec::new();
    for member in members {
        if let Some(class) = class_of(path, member, root)? {
            if found.last().is_none_or(|last| last != class) {
                found.push(class.to_string());
            }
            images.push((member, class));
        }
    }
    if images.is_empty() {
        let what = "holds no class folders; for images that have their labels elsewhere, give them (option labels)";
        return Err(Error::source(path, what));
    }
    found.sort_unstable();
    found.dedup();
    check_not_splits(&found)
        .map_err(|what| Error::source(path, format!("{what}; unpack it and pack one of its folders")))?;
    check_not_empty(path, &found, root, others)?;
    let layout = layout(&images, root.len());
    if let Some(what) = layout.masks().or_else(|| layout.parts()) {
        return Err(Error::source(path, format!("{what}; unpack it and pack folders of images of one class each")));
    }
    let class_index = ClassIndex::new(path, found, options)?;
    let mut builder = SampleListBuilder::new(class_index.classes.clone());
    let mut reader = MemberReader::default();
    reader.begin_file(path);
    for &(member, class) in &images {
        builder.push(&member.name[root.len()..], member.length, class_index.label(path, class)?);
        reader.push(member);
    }
    let beside = members.len() - images.len();
    let notes = beside_note(beside).into_iter().chain(layout.merged());
    Ok(Source::new(builder.finish(), reader.open()?).with_notes(notes.collect()))
}

/// Layout of the class folders below a folder whose name has `root` bytes; `images` are sorted by name.
fn layout(images: &[(&Member, &str)], root: usize) -> Layout {
    let mut layout = Layout::default();
    for of_class in images.chunk_by(|a, b| a.1 == b.1) {
        let class = of_class[0].1;
        let names: Vec<&[u8]> = of_class.iter().map(|(member, _)| &member.name[root..]).collect();
        layout.add(class, class.len() + 1, &names);
    }
    layout
}

/// Refuses a class folder without images, as of a folder of class folders.
fn check_not_empty(path: &Path, classes: &[String], root: &[u8], others: &[Vec<u8>]) -> Result<()> {
    let empty = others.iter().filter_map(|name| name.strip_prefix(root)).find_map(|below| {
        let top = String::from_utf8_lossy(below.split(|&b| b == b'/').next()?).into_owned();
        let is_folder = below.contains(&b'/') || !is_metadata(below);
        (is_folder && !top.is_empty() && classes.binary_search(&top).is_err()).then_some(top)
    });
    let what = "a class folder without images; add some, or remove the folder and make the tar again";
    empty.map_or(Ok(()), |class| Err(Error::source(path, format!("{class}: {what}"))))
}

/// The folder of the class folders with its `/`: descends while there is only one folder and more below it.
fn common_root(members: &[Member]) -> &[u8] {
    let mut root: &[u8] = b"";
    loop {
        let inside = || members.iter().filter_map(|m| m.name.strip_prefix(root));
        let folder = |below: &[u8]| below.iter().position(|&b| b == b'/');
        let mut folders = inside().filter_map(|below| Some(&below[..=folder(below)?]));
        let Some(first) = folders.next() else { return root };
        let only = folders.all(|other| other == first);
        let deeper = inside().filter_map(|below| below.strip_prefix(first)).any(|below| folder(below).is_some());
        let Some(one) = members
            .iter()
            .find(|m| only && deeper && m.name[..].strip_prefix(root).is_some_and(|b| b.starts_with(first)))
        else {
            return root;
        };
        root = &one.name[..root.len() + first.len()];
    }
}

/// The class of a member: its folder below `root`. `None` for a file beside the class folders.
fn class_of<'a>(path: &Path, member: &'a Member, root: &[u8]) -> Result<Option<&'a str>> {
    let Some(below) = member.name.strip_prefix(root) else { return Ok(None) };
    let Some(end) = below.iter().position(|&b| b == b'/') else { return Ok(None) };
    let wrong = |_| Error::source(path, format!("member {:?}: its folder's name is not UTF-8", member.display_name()));
    std::str::from_utf8(&below[..end]).map(Some).map_err(wrong)
}
