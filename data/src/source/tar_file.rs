//! A tar of images: with labels, any images (`ILSVRC2012_img_val.tar`); without, class folders.
//!
//! Class folders are where paths diverge: `photos/train/ant/1.jpg` and `photos/train/bee/2.jpg` are of the classes
//! `ant` and `bee`. Files beside the class folders are ignored. Images are sorted by name in byte order.

use std::path::Path;

use super::archive::{self, Container, Member, MemberReader, members, replaced_note};
use super::class_index::ClassIndex;
use super::labels::LabelFile;
use super::sample_list::SampleListBuilder;
use super::train_val::check_not_splits;
use super::{Source, SourceOptions, file_name, is_metadata, metadata_note};
use crate::error::{Error, Result};

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let file = Container::open(path)?;
    let (mut members, ended) = members(&file, 0..file.length, "")?;
    let all = members.len();
    let first_metadata = members.iter().find(|member| is_metadata(&member.name)).map(|member| member.name.clone());
    members.retain(|member| !is_metadata(&member.name));
    if members.is_empty() {
        return Err(Error::source(path, "holds no images"));
    }
    let metadata = metadata_note(all - members.len(), &first_metadata.unwrap_or_default());
    let replaced = replaced_note(archive::sort(&mut members));
    let source = match options.labels {
        Some(labels) => open_labelled(path, &members, labels, options)?,
        None => open_class_folders(path, &members, options)?,
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

fn open_class_folders(path: &Path, members: &[Member], options: &SourceOptions) -> Result<Source> {
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
        let what = "holds no class folders; for images that have their labels elsewhere, give them (--labels)";
        return Err(Error::source(path, what));
    }
    found.sort_unstable();
    found.dedup();
    check_not_splits(&found)
        .map_err(|what| Error::source(path, format!("{what}; unpack it and pack one of its folders")))?;
    let class_index = ClassIndex::new(path, found, options)?;
    let mut builder = SampleListBuilder::new(class_index.classes.clone());
    let mut reader = MemberReader::default();
    reader.begin_file(path);
    for &(member, class) in &images {
        builder.push(&member.name[root.len()..], member.length, class_index.label(path, class)?);
        reader.push(member);
    }
    let beside = members.len() - images.len();
    let notes = (beside > 0).then(|| format!("{beside} files beside the class folders are ignored"));
    Ok(Source::new(builder.finish(), reader.open()?).with_notes(notes.into_iter().collect()))
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
