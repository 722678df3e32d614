//! A folder of class folders.
//!
//! - Each folder in the root is a class; classes are numbered in the order of their names' bytes, as torchvision and
//!   Keras do. Files beside the class folders are ignored, with a note.
//! - Folders that are splits or versions of a data set, and masks among the images, are errors (see [`layout`](super::layout))
//!   unless the user says that the source is a folder of class folders.
//! - Files at any depth below a class folder are its images, in the order of their paths' bytes. Links are followed;
//!   a link that leads back to a folder it lies in is an error.
//! - Names that begin with a dot and folders that systems make are skipped, and so, with a note, are files that are about
//!   images by their names (`.txt`, `.csv`, `.xml` and alike: Tiny ImageNet has `<wnid>_boxes.txt` beside its images).
//!   Anything else is taken for an image: what is none is refused by name when it is read.
//! - A class without files, a single class, and a class name that is not UTF-8 are errors. A file name may be any bytes.

use std::fs;
use std::path::{Path, PathBuf};

use super::catalogue::{Lister, Numbers};
use super::layout::Layout;
use super::{
    Catalogue, Content, ImageReader, Reading, Source, SourceKind, about_images_note, beside_note, files_of, from_bytes,
    is_about_images, list,
};
use crate::decode::read_bytes;
use crate::error::{BadImage, Error, Result};

/// Images whose names are their paths below a folder.
pub(super) struct Files {
    pub root: PathBuf,
}

impl ImageReader for Files {
    fn read(&self, catalogue: &Catalogue, index: usize) -> Result<Content, BadImage> {
        read_bytes(&self.root.join(from_bytes(catalogue.name(index)))).map(Content::File)
    }
}

/// A file of a class: its name within the root and its length.
type Found = (Vec<u8>, u64);

/// Lists all files. With given classes, labels are indices into them, and a folder that is not among them is an error.
pub(super) fn open(root: &Path, reading: &Reading) -> Result<Source> {
    let (folders, beside) = class_folders(root)?;
    let numbers = match (reading.classes, folders.as_slice()) {
        (None, [only]) => return Err(one_class(root, only)),
        _ => Numbers::new(root, folders.clone(), reading)?,
    };
    let mut lister = Lister::new(numbers.classes.clone());
    let mut layout = Layout::default();
    let mut about = 0;
    let mut first_about = None;
    for class in &folders {
        let label = numbers.get(class).ok_or_else(|| unknown_class(root, class))?;
        let (others, images): (Vec<Found>, Vec<Found>) =
            class_files(root, class)?.into_iter().partition(|(name, _)| is_about_images(name));
        about += others.len();
        first_about = first_about.or_else(|| others.into_iter().next().map(|(name, _)| name));
        let names: Vec<&[u8]> = images.iter().map(|(name, _)| name.as_slice()).collect();
        layout.add(class, class.len() + 1, &names);
        images.iter().for_each(|(name, length)| lister.push(name, *length, label));
    }
    let mut notes: Vec<String> = beside_note(beside).into_iter().collect();
    notes.extend(about_images_note(about, &first_about.unwrap_or_default()));
    notes.extend(layout_notes(root, &layout, reading)?);
    Ok(Source::new(lister.finish(), Files { root: root.to_path_buf() }).with_notes(notes))
}

/// What the user should know of the layout.
///
/// # Errors
/// [`Error::Source`] if the folders are no classes, or hold masks, and the user did not say that they are class folders.
fn layout_notes(root: &Path, layout: &Layout, reading: &Reading) -> Result<Vec<String>> {
    if reading.from == Some(SourceKind::Folders) {
        return Ok(layout.masks().into_iter().chain(layout.merged()).collect());
    }
    let advice = "or, to pack all of them as images of their class folder, say so (--from folders)";
    if let Some(masks) = layout.masks() {
        return Err(Error::source(root, format!("{masks}; move them out of the class folders, {advice}")));
    }
    match layout.parts() {
        Some(parts) => Err(Error::source(root, format!("{parts}, {advice}"))),
        None => Ok(layout.merged().into_iter().collect()),
    }
}

/// The names of the class folders, sorted, and how many files beside them may be images.
fn class_folders(root: &Path) -> Result<(Vec<String>, usize)> {
    let mut classes = Vec::new();
    let mut files = 0;
    let mut beside = 0;
    for (name, metadata) in list(root)? {
        if !metadata.is_some_and(|m| m.is_dir()) {
            files += 1;
            beside += usize::from(!is_about_images(name.as_encoded_bytes()));
            continue;
        }
        let text = name.to_str().ok_or_else(|| {
            let what = format!("the class folder {name:?} has a name that is not UTF-8; rename it");
            Error::source(root, what)
        })?;
        classes.push(text.to_string());
    }
    if classes.is_empty() {
        let what = match files {
            0 => "is empty; expected one folder of images for each class",
            _ if !files_of(root, is_list)?.is_empty() => {
                "holds files but no folders; expected one folder of images for each class, or the file that has their \
                 labels (--labels FILE)"
            }
            _ => {
                "holds files but no folders; expected one folder of images for each class; if the labels are in a file, name \
                 it (--labels FILE)"
            }
        };
        return Err(Error::source(root, what));
    }
    classes.sort_unstable();
    Ok((classes, beside))
}

/// All files of a class, sorted by name.
fn class_files(root: &Path, class: &str) -> Result<Vec<Found>> {
    let folder = root.join(class);
    let mut found = Vec::new();
    walk(&folder, class.as_bytes(), &mut Vec::new(), &mut found)?;
    if found.iter().all(|(name, _)| is_about_images(name)) {
        let what = "a class folder without images; add some, or remove the folder";
        return Err(Error::source(&folder, what));
    }
    found.sort_unstable();
    Ok(found)
}

/// Lists the files below `folder`, which has `name` within the source; `above` are the folders that it lies in.
pub(super) fn walk(folder: &Path, name: &[u8], above: &mut Vec<PathBuf>, found: &mut Vec<Found>) -> Result<()> {
    let real = fs::canonicalize(folder).map_err(Error::io(folder, "cannot be listed"))?;
    if above.contains(&real) {
        return Err(Error::source(folder, format!("a link in a loop: it leads back to {}; remove it", real.display())));
    }
    above.push(real);
    for (part, metadata) in list(folder)? {
        let mut name = name.to_vec();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(part.as_encoded_bytes());
        match metadata {
            Some(m) if m.is_dir() => walk(&folder.join(&part), &name, above, found)?,
            // A link to nowhere is listed too: reading it says so.
            m => found.push((name, m.map_or(0, |m| m.len()))),
        }
    }
    above.pop();
    Ok(())
}

/// Whether a file may be one of labels by its name.
pub(super) fn is_list(name: &str) -> bool {
    let name = name.to_lowercase();
    [".csv", ".tsv", ".lst", ".txt"].iter().any(|ending| name.ends_with(ending))
}

fn one_class(root: &Path, only: &str) -> Error {
    let inner = root.join(only);
    let hint = match class_folders(&inner) {
        Ok(_) => format!("; did you mean {}?", inner.display()),
        Err(_) => String::new(),
    };
    Error::source(root, format!("holds one class only, {only:?}; expected at least two class folders{hint}"))
}

fn unknown_class(root: &Path, class: &str) -> Error {
    Error::source(
        &root.join(class),
        format!("the class {class:?} is not among the given classes; remove or rename the folder"),
    )
}
