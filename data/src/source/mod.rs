//! Where images come from: each kind of source is a file here.
//!
//! A source is a [`Catalogue`], the labelled names of its images in a fixed order, and [`ImageReader`], which reads one of
//! them by its place, from any thread. Nothing is unpacked to disk: what lies in an archive is read where it lies.

mod archive;
mod catalogue;
mod cifar;
mod class_tars;
mod detect;
mod folder;
mod hdf5_file;
mod idx;
mod labelled;
mod labels;
mod numbered;
mod parts;
mod tar_file;
mod webdataset;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decode::Image;
use crate::error::{BadImage, Error, Result};
pub(crate) use catalogue::{Catalogue, Names, hex};
pub(crate) use parts::parts_of;
pub(crate) use words::Words;

/// What a source is. Found by content where it is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// A folder of class folders.
    Folders,
    /// A tar of class tars, as ILSVRC's training set, or a folder of them, as ImageNet's releases of 2009 and 2011.
    ClassTars,
    /// A tar of class folders; with labels, a tar of images, as ILSVRC's validation set.
    Tar,
    /// A folder of images with labels in a file.
    Labelled,
    /// A tar, or a folder of them, of images each with its `.cls` or `.json`.
    WebDataset,
    /// CIFAR-10 or CIFAR-100, binary or Python version: a folder, a file, or the archive that they are distributed as.
    Cifar,
    /// MNIST's files and others of their form, as they are or compressed by gzip.
    Idx,
    /// An HDF5 file of `images` and `labels`.
    Hdf5,
}

impl SourceKind {
    /// All kinds with the names they have on a command line.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Folders, "folders"),
        (Self::ClassTars, "class-tars"),
        (Self::Tar, "tar"),
        (Self::Labelled, "labelled"),
        (Self::WebDataset, "webdataset"),
        (Self::Cifar, "cifar"),
        (Self::Idx, "idx"),
        (Self::Hdf5, "hdf5"),
    ];
}

/// Which part of a source that holds two: CIFAR's and MNIST's folders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// The training set.
    #[default]
    Train,
    /// The test set.
    Test,
}

/// How a source is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading<'a> {
    pub from: Option<SourceKind>,
    /// Where labels lie that are not in the source.
    pub labels: Option<&'a Path>,
    pub split: Split,
    /// The classes in order, if they are given.
    pub classes: Option<&'a [String]>,
    /// Names for classes that the source only numbers.
    pub class_names: Option<&'a [String]>,
    /// Words for classes that are wnids.
    pub words: Option<&'a Words>,
    /// The column of images in a file of labels, by its name or its number from 1 on.
    pub image_column: Option<&'a str>,
    /// The column of labels in a file of labels, by its name or its number from 1 on; or a key of a WebDataset's `.json`.
    pub label_column: Option<&'a str>,
    /// Pixels of an image at most.
    pub max_pixels: u64,
    /// Whether images are to be turned as their EXIF orientation says.
    pub turned: bool,
}

/// What a source gives for one image.
#[derive(Debug)]
pub(crate) enum Content {
    /// The bytes of an image file.
    File(Vec<u8>),
    /// Pixels that need no decoding.
    Pixels(Image),
}

/// Reads the images of a catalogue.
pub(crate) trait ImageReader: Send + Sync {
    /// Image `index` of `catalogue`.
    fn read(&self, catalogue: &Catalogue, index: usize) -> Result<Content, BadImage>;
}

/// A labelled set of images in a fixed order.
pub(crate) struct Source {
    catalogue: Catalogue,
    images: Box<dyn ImageReader>,
    /// What the user should know, a sentence each.
    notes: Vec<String>,
    /// Side of all images, where they are square and the source says so.
    side: Option<usize>,
}

/// Some images of a source.
struct Chosen {
    of: Arc<Source>,
    indices: Vec<usize>,
}

impl ImageReader for Chosen {
    fn read(&self, _: &Catalogue, index: usize) -> Result<Content, BadImage> {
        self.of.read(self.indices[index])
    }
}

impl Source {
    /// Finds out what `path` is and lists its images.
    pub fn open(path: &Path, reading: &Reading) -> Result<Self> {
        let kind = match reading.from {
            Some(kind) => kind,
            None => detect::kind(path, reading)?,
        };
        check_options(kind, reading)?;
        let words = match reading.class_names {
            Some(names) => Words::of_lines(names.iter().map(String::as_str)),
            None => Words::beside(path)?,
        };
        let reading = &Reading { words: words.as_ref(), ..*reading };
        let source = match kind {
            SourceKind::Folders => folder::open(path, reading),
            SourceKind::ClassTars => class_tars::open(path, reading),
            SourceKind::Tar => tar_file::open(path, reading),
            SourceKind::Labelled => labelled::open(path, reading),
            SourceKind::WebDataset => webdataset::open(path, reading),
            SourceKind::Cifar => cifar::open(path, reading),
            SourceKind::Idx => idx::open(path, reading),
            SourceKind::Hdf5 => hdf5_file::open(path, reading),
        }?;
        if reading.classes.is_none() {
            check_names(path, source.catalogue.classes())?;
        }
        Ok(source)
    }

    fn new(catalogue: Catalogue, images: impl ImageReader + 'static) -> Self {
        Self { catalogue, images: Box::new(images), notes: Vec::new(), side: None }
    }

    fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes.extend(notes);
        self
    }

    fn with_side(self, side: usize) -> Self {
        Self { side: Some(side), ..self }
    }

    /// The images `indices` of a source, without its notes; `rule` says in words how they were chosen.
    pub fn part(whole: &Arc<Self>, indices: Vec<usize>, rule: &str) -> Self {
        let catalogue = whole.catalogue.part(&indices, rule);
        let images = Box::new(Chosen { of: Arc::clone(whole), indices });
        Self { catalogue, images, notes: Vec::new(), side: whole.side }
    }

    /// The labelled names.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Reads image `index`.
    pub fn read(&self, index: usize) -> Result<Content, BadImage> {
        self.images.read(&self.catalogue, index)
    }

    /// What the user should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Side of all images, where it is known.
    pub fn side(&self) -> Option<usize> {
        self.side
    }
}

/// Options that a kind of source has no use for are mistakes.
fn check_options(kind: SourceKind, reading: &Reading) -> Result<()> {
    if reading.turned && matches!(kind, SourceKind::Cifar | SourceKind::Idx | SourceKind::Hdf5) {
        let got = "a source of bare pixels, which have no EXIF orientation; leave the option out";
        return Err(Error::option("exif_orientation", "a source of image files", got));
    }
    if let Some(labels) = reading.labels.filter(|_| !matches!(kind, SourceKind::Labelled | SourceKind::Tar)) {
        let expected = "a source without labels of its own: a folder or a tar of images";
        return Err(Error::option("labels", expected, labels.display()));
    }
    let has_file = kind == SourceKind::Labelled || reading.labels.is_some();
    let column = reading.label_column.filter(|_| !has_file && kind != SourceKind::WebDataset);
    if let Some(column) = column {
        let expected = "a source with labels in a file (see labels), or a WebDataset with labels in .json";
        return Err(Error::option("label_column", expected, column));
    }
    if reading.split == Split::Test && !matches!(kind, SourceKind::Cifar | SourceKind::Idx) {
        let expected = "train, or a source of CIFAR or MNIST, which have both parts in one folder";
        return Err(Error::option("split", expected, "test"));
    }
    match reading.image_column.filter(|_| !has_file) {
        Some(column) => Err(Error::option("image_column", "a source with labels in a file (see labels)", column)),
        None => Ok(()),
    }
}

/// Folders and files that systems make beside or among images.
const SYSTEM_NAMES: [&[u8]; 7] = [
    b"__MACOSX",
    b"@eaDir",
    b"$RECYCLE.BIN",
    b"System Volume Information",
    b"lost+found",
    b"Thumbs.db",
    b"desktop.ini",
];

/// Whether a path within a source is left out, or lies in a folder that is: hidden, or a system's own.
fn is_left_out(name: &[u8]) -> bool {
    let hidden = |part: &[u8]| part.starts_with(b".") && part != b"." && part != b"..";
    name.split(|&b| b == b'/').any(|part| hidden(part) || SYSTEM_NAMES.contains(&part))
}

/// Endings of files that are about images and none themselves.
const NO_IMAGES: [&[u8]; 10] =
    [b".csv", b".tsv", b".txt", b".lst", b".md", b".json", b".xml", b".yaml", b".yml", b".mat"];

/// Whether a file is, by its name, about images and none itself.
fn is_about_images(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    NO_IMAGES.iter().any(|ending| name.ends_with(ending))
}

/// What the user should know of files among images that are about them, of which `first` is one.
fn about_images_note(count: usize, first: &[u8]) -> Option<String> {
    let first = String::from_utf8_lossy(first);
    (count > 0).then(|| {
        format!("{count} files among the images that are none by their names are left out, the first is {first}")
    })
}

/// What a folder holds, sorted by name, hidden and system names left out. No metadata: a link to nowhere.
fn list(folder: &Path) -> Result<Vec<(std::ffi::OsString, Option<std::fs::Metadata>)>> {
    let fail = || Error::io(folder, "cannot be listed");
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail())? {
        let entry = entry.map_err(fail())?;
        if !is_left_out(entry.file_name().as_encoded_bytes()) {
            let metadata = metadata(&entry.path())?;
            entries.push((entry.file_name(), metadata));
        }
    }
    entries.sort_unstable_by(|a, b| a.0.as_encoded_bytes().cmp(b.0.as_encoded_bytes()));
    Ok(entries)
}

/// Refuses two classes of one name: nobody could tell them apart.
fn check_names(path: &Path, classes: &[String]) -> Result<()> {
    let mut sorted: Vec<&String> = classes.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::source(path, format!("two classes are named {:?}; give each its own name", pair[0]))),
        None => Ok(()),
    }
}

/// Whether a path is a folder.
fn is_folder(path: &Path) -> Result<bool> {
    Ok(metadata(path)?.is_some_and(|found| found.is_dir()))
}

/// Whether a path is a file.
fn is_file(path: &Path) -> Result<bool> {
    Ok(metadata(path)?.is_some_and(|found| found.is_file()))
}

/// What the system knows of a path; `None` if there is nothing. A folder that cannot be looked at must not pass for a file,
/// nor a file for an absent one.
fn metadata(path: &Path) -> Result<Option<std::fs::Metadata>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::io(path, "cannot be looked at; run the same command again")(e)),
    }
}

/// The files of a folder whose names `wanted` accepts, sorted.
fn files_of(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let is_folder = |m: &Option<std::fs::Metadata>| m.as_ref().is_some_and(|m| m.is_dir());
    let listed = list(folder)?.into_iter().filter(|(_, metadata)| !is_folder(metadata));
    Ok(listed.filter(|(name, _)| name.to_str().is_some_and(&wanted)).map(|(name, _)| folder.join(name)).collect())
}

/// The last part of a path, for names of images and messages.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A path within a source from its bytes.
#[cfg(unix)]
fn from_bytes(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

#[cfg(not(unix))]
fn from_bytes(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).as_ref())
}
