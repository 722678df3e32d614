//! One tar of images: with labels, images as they come (`ILSVRC2012_img_val.tar`); without, class folders.
//!
//! A class folder is where paths begin to differ: `photos/train/ant/1.jpg` and `photos/train/bee/2.jpg` are of the classes
//! `ant` and `bee`. Files beside the class folders are ignored. Images are in the order of their names' bytes.

use std::path::Path;

use super::archive::{self, Container, Member, Places, members_and_folders, replaced_note};
use super::catalogue::{Lister, Numbers};
use super::labels::LabelFile;
use super::layout::Layout;
use super::parts::check_classes;
use super::{Reading, Source, about_images_note, beside_note, file_name, is_about_images};
use crate::error::{Error, Result};

pub(super) fn open(path: &Path, reading: &Reading) -> Result<Source> {
    let file = Container::open(path)?;
    let (mut members, mut folders, ended) = members_and_folders(&file, 0..file.length, "")?;
    let others: Vec<Member> = members.extract_if(.., |member| is_about_images(&member.name)).collect();
    if members.is_empty() {
        return Err(Error::source(path, "holds no images"));
    }
    let about = about_images_note(others.len(), others.first().map_or(b"", |first| &first.name));
    folders.extend(others.into_iter().map(|member| member.name));
    let replaced = replaced_note(archive::sort(&mut members));
    let source = match reading.labels {
        Some(labels) => labelled(path, &members, labels, reading)?,
        None => class_folders(path, &members, &folders, reading)?,
    };
    let notes = about.into_iter().chain(replaced).chain(ended.notes(&file_name(path)));
    Ok(source.with_notes(notes.collect()))
}

fn labelled(path: &Path, members: &[Member], labels: &Path, reading: &Reading) -> Result<Source> {
    let names: Vec<&[u8]> = members.iter().map(|m| m.name.as_slice()).collect();
    let labelled = LabelFile::given(labels)?.apply(path, &names, reading)?;
    let mut lister = Lister::new(labelled.classes);
    let mut places = Places::default();
    places.begin(path);
    for (member, label) in members.iter().zip(labelled.labels) {
        if let Some(label) = label {
            lister.push(&member.name, member.length, label);
            places.push(member);
        }
    }
    Ok(Source::new(lister.finish(), places.ready()?).with_notes(labelled.notes))
}

/// `others` are the names of folders, and of files in folders, that are no images.
fn class_folders(path: &Path, members: &[Member], others: &[Vec<u8>], reading: &Reading) -> Result<Source> {
    let root = root(members);
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
    check_classes(&found)
        .map_err(|what| Error::source(path, format!("{what}; unpack it and pack one of its folders")))?;
    check_not_empty(path, &found, root, others)?;
    let layout = layout(&images, root.len());
    if let Some(what) = layout.masks().or_else(|| layout.parts()) {
        return Err(Error::source(path, format!("{what}; unpack it and pack folders of images of one class each")));
    }
    let numbers = Numbers::new(path, found, reading)?;
    let mut lister = Lister::new(numbers.classes.clone());
    let mut places = Places::default();
    places.begin(path);
    for &(member, class) in &images {
        lister.push(&member.name[root.len()..], member.length, numbers.label(path, class)?);
        places.push(member);
    }
    let beside = members.len() - images.len();
    let notes = beside_note(beside).into_iter().chain(layout.merged());
    Ok(Source::new(lister.finish(), places.ready()?).with_notes(notes.collect()))
}

/// What the class folders below a folder whose name has `root` bytes hold. `images` are sorted by name.
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
        let is_folder = below.contains(&b'/') || !is_about_images(below);
        (is_folder && !top.is_empty() && classes.binary_search(&top).is_err()).then_some(top)
    });
    let what = "a class folder without images; add some, or remove the folder and make the tar again";
    empty.map_or(Ok(()), |class| Err(Error::source(path, format!("{class}: {what}"))))
}

/// The folder of the class folders, with its `/`: down from the top as long as there is one folder only, and more below
/// it.
fn root(members: &[Member]) -> &[u8] {
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

/// The class of a member: the folder it lies in below `root`. `None` of a file beside the class folders.
fn class_of<'a>(path: &Path, member: &'a Member, root: &[u8]) -> Result<Option<&'a str>> {
    let Some(below) = member.name.strip_prefix(root) else { return Ok(None) };
    let Some(end) = below.iter().position(|&b| b == b'/') else { return Ok(None) };
    let wrong = |_| Error::source(path, format!("member {:?}: its folder's name is not UTF-8", member.shown()));
    std::str::from_utf8(&below[..end]).map(Some).map_err(wrong)
}
