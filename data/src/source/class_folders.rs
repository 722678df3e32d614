//! A folder of class folders.
//!
//! - Each folder in the root is a class; classes are sorted by name in byte order, as in torchvision and Keras. Files
//!   beside the class folders are ignored, with a note.
//! - Folders that are splits or versions of a data set, and masks among the images, are errors (see
//!   [`layout`](super::layout)) unless the user says that the source is a folder of class folders.
//! - Files at any depth below a class folder are its images, sorted by path in byte order. Links are followed; a link
//!   to a folder that contains it is an error.
//! - Hidden names and operating system folders are skipped, and so, with a note, are metadata files by their names
//!   (`.txt`, `.csv`, `.xml` and similar: Tiny ImageNet has `<wnid>_boxes.txt` beside its images). Everything else is
//!   taken for an image, to be rejected when it is read if it is not one.
//! - A class without files, a single class, and a class name that is not UTF-8 are errors. File names may be any bytes.

use std::fs;
use std::path::{Path, PathBuf};

use super::class_index::ClassIndex;
use super::layout::Layout;
use super::sample_list::SampleListBuilder;
use super::wordnet::listed_notes;
use super::{
    ImageContent, ImageReader, SampleList, Source, SourceKind, SourceOptions, beside_note, files_of, is_metadata, list,
    metadata_note, path_from_bytes,
};
use crate::decode::read_bytes;
use crate::error::{BadImage, Error, Result};

/// Reader of images whose names are paths below a folder.
pub(super) struct FileReader {
    pub root: PathBuf,
}

impl ImageReader for FileReader {
    fn read(&self, samples: &SampleList, index: usize) -> Result<ImageContent, BadImage> {
        read_bytes(&self.root.join(path_from_bytes(samples.name(index)))).map(ImageContent::Encoded)
    }
}

/// A file of a class: its name within the root, and its size.
type FileEntry = (Vec<u8>, u64);

/// Lists all files. With given classes, labels are indices into them, and other class folders are an error.
pub(super) fn open(root: &Path, options: &SourceOptions) -> Result<Source> {
    let (folders, beside) = class_folders(root)?;
    let class_index = match (options.classes, folders.as_slice()) {
        (None, [only]) => return Err(one_class(root, only)),
        _ => ClassIndex::new(root, folders.clone(), options)?,
    };
    let mut builder = SampleListBuilder::new(class_index.classes.clone());
    let mut layout = Layout::default();
    let mut metadata_files = 0;
    let mut first_metadata = None;
    for class in &folders {
        let label = class_index.get(class).ok_or_else(|| unknown_class(root, class, folders.len()))?;
        let (others, images): (Vec<FileEntry>, Vec<FileEntry>) =
            class_files(root, class)?.into_iter().partition(|(name, _)| is_metadata(name));
        metadata_files += others.len();
        first_metadata = first_metadata.or_else(|| others.into_iter().next().map(|(name, _)| name));
        let names: Vec<&[u8]> = images.iter().map(|(name, _)| name.as_slice()).collect();
        layout.add(class, class.len() + 1, &names);
        images.iter().for_each(|(name, length)| builder.push(name, *length, label));
    }
    let mut notes: Vec<String> = beside_note(beside).into_iter().collect();
    notes.extend(metadata_note(metadata_files, &first_metadata.unwrap_or_default()));
    notes.extend(layout_notes(root, &layout, options)?);
    if options.classes.is_none() {
        notes.extend(listed_notes(root, &folders)?);
    }
    Ok(Source::new(builder.finish(), FileReader { root: root.to_path_buf() }).with_notes(notes))
}

/// Notes on the layout, for the user.
///
/// # Errors
/// [`Error::Source`] if the folders are not classes, or hold masks, and the user did not say that they are class
/// folders.
fn layout_notes(root: &Path, layout: &Layout, options: &SourceOptions) -> Result<Vec<String>> {
    if options.from == Some(SourceKind::Folders) {
        return Ok(layout.masks().into_iter().chain(layout.merged()).collect());
    }
    let advice = "or, to pack all of them as images of their class folder, say so (option from: folders)";
    if let Some(masks) = layout.masks() {
        return Err(Error::source(root, format!("{masks}; move them out of the class folders, {advice}")));
    }
    match layout.parts() {
        Some(parts) => Err(Error::source(root, format!("{parts}, {advice}"))),
        None => Ok(layout.merged().into_iter().collect()),
    }
}

/// Names of the class folders, sorted, and the number of files beside them that may be images.
fn class_folders(root: &Path) -> Result<(Vec<String>, usize)> {
    let mut classes = Vec::new();
    let mut files = 0;
    let mut beside = 0;
    for (name, metadata) in list(root)? {
        if !metadata.is_some_and(|m| m.is_dir()) {
            files += 1;
            beside += usize::from(!is_metadata(name.as_encoded_bytes()));
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
            _ if !files_of(root, is_labels_file)?.is_empty() => {
                "holds files but no folders; expected one folder of images for each class, or the file that has their \
                 labels (option labels)"
            }
            _ => {
                "holds files but no folders; expected one folder of images for each class; if the labels are in a file, name \
                 it (option labels)"
            }
        };
        return Err(Error::source(root, what));
    }
    classes.sort_unstable();
    Ok((classes, beside))
}

/// All files of a class, sorted by name.
fn class_files(root: &Path, class: &str) -> Result<Vec<FileEntry>> {
    let folder = root.join(class);
    let mut found = Vec::new();
    walk(&folder, class.as_bytes(), &mut Vec::new(), &mut found)?;
    if found.iter().all(|(name, _)| is_metadata(name)) {
        let what = "a class folder without images; add some, or remove the folder";
        return Err(Error::source(&folder, what));
    }
    found.sort_unstable();
    Ok(found)
}

/// Lists the files below `folder`, whose name within the source is `name`; `above` are the folders that contain it.
pub(super) fn walk(folder: &Path, name: &[u8], above: &mut Vec<PathBuf>, found: &mut Vec<FileEntry>) -> Result<()> {
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
            // A broken link is listed too; reading it reports the error.
            m => found.push((name, m.map_or(0, |m| m.len()))),
        }
    }
    above.pop();
    Ok(())
}

/// Whether a file may be a labels file by its name.
pub(super) fn is_labels_file(name: &str) -> bool {
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

/// A class folder, one of `folders`, that is not among the given classes.
fn unknown_class(root: &Path, class: &str, folders: usize) -> Error {
    if folders == 1 {
        let what = format!(
            "holds one folder, {class:?}, which is none of the given classes; if it holds images of several classes, the \
             file of their labels is missing: val_annotations.txt in Tiny ImageNet, or name one (option labels)"
        );
        return Error::source(root, what);
    }
    let what = format!("the class {class:?} is not among the given classes; remove or rename the folder");
    Error::source(&root.join(class), what)
}
