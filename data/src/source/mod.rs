//! Sources of images; each kind is a submodule.
//!
//! A source is a [`SampleList`], the labelled names of its images in a fixed order, and an [`ImageReader`], which reads
//! an image by index from any thread. Nothing is unpacked to disk: archives are read in place.

mod archive;
mod cifar;
mod class_folders;
mod class_index;
mod class_names;
mod class_tars;
mod detect;
#[cfg(feature = "hdf5")]
mod hdf5_file;
mod idx;
mod labelled_folder;
mod labels;
mod layout;
mod name_forms;
mod numeric_labels;
mod sample_list;
mod series;
mod source_images;
mod split_names;
mod tar_file;
mod train_val;
mod webdataset;
mod wordnet;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dataset::ImageContent;
use crate::error::{BadImage, Error, Result};
use class_names::ClassNames;
pub use class_names::read_class_names;
pub(crate) use sample_list::{NameList, SampleList, SampleListBuilder, hex};
pub use source_images::{SourceImages, SourceSettings};
pub(crate) use train_val::find_train_val;
pub(crate) use wordnet::WordNetNames;

/// Kind of a source, detected by content unless given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// A folder of class folders.
    Folders,
    /// A tar of class tars, like ILSVRC's training set, or a folder of class tars, like ImageNet's releases of 2009 and
    /// 2011.
    ClassTars,
    /// A tar of class folders; with labels, a tar of images, like ILSVRC's validation set.
    Tar,
    /// A folder of images with a labels file.
    Labelled,
    /// A WebDataset: a tar, or a folder of tars, of images with a `.cls` or `.json` each.
    WebDataset,
    /// CIFAR-10 or CIFAR-100, binary or Python version: a folder, a file, or the original archive.
    Cifar,
    /// MNIST and other IDX files, optionally gzipped.
    Idx,
    /// An HDF5 file of `images` and `labels`.
    Hdf5,
}

impl SourceKind {
    /// All kinds and their command line names.
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

/// Split of a source that holds two: folders of CIFAR and MNIST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Split {
    /// The training set.
    #[default]
    Train,
    /// The test set.
    Test,
}

/// Options for opening a source.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SourceOptions<'a> {
    pub from: Option<SourceKind>,
    /// Labels file, if the source has no labels.
    pub labels: Option<&'a Path>,
    pub split: Split,
    /// Class names in label order, if given.
    pub classes: Option<&'a [String]>,
    /// Names for classes that the source only numbers: in the options the lines of a file, here the names.
    pub class_names: Option<&'a [String]>,
    /// Label of the first of these names.
    pub first_label: u64,
    /// Names for classes that are wnids.
    pub wordnet: Option<&'a WordNetNames>,
    /// Column of images in the labels file, by name or 1-based number.
    pub image_column: Option<&'a str>,
    /// Column of labels in the labels file, by name or 1-based number; or a key of a WebDataset's `.json`.
    pub label_column: Option<&'a str>,
    /// Maximum number of pixels of an image.
    pub max_pixels: u64,
    /// Whether images are turned by their EXIF orientation.
    pub apply_orientation: bool,
}

impl SourceOptions<'_> {
    /// Whether there are words for a class of this name.
    fn has_words(&self, wnid: &str) -> bool {
        self.wordnet.is_some_and(|wordnet| wordnet.contains(wnid))
    }
}

/// Reads the images of a sample list.
pub(crate) trait ImageReader: Send + Sync {
    /// Reads image `index` of `samples`.
    fn read(&self, samples: &SampleList, index: usize) -> Result<ImageContent, BadImage>;
}

/// A labelled set of images in a fixed order.
pub(crate) struct Source {
    samples: SampleList,
    images: Box<dyn ImageReader>,
    /// Notes for the user, one sentence each.
    notes: Vec<String>,
    /// Side length of all images, if they are square and the source specifies it.
    side: Option<usize>,
}

/// Reader of a subset of a source.
struct SubsetReader {
    source: Arc<Source>,
    indices: Vec<usize>,
}

impl ImageReader for SubsetReader {
    fn read(&self, _: &SampleList, index: usize) -> Result<ImageContent, BadImage> {
        self.source.read(self.indices[index])
    }
}

impl Source {
    /// Detects the kind of `path` and lists its images.
    pub fn open(path: &Path, options: &SourceOptions) -> Result<Self> {
        let kind = match options.from {
            Some(kind) => kind,
            None => detect::detect(path, options)?,
        };
        check_unused_options(kind, options)?;
        let named = options.class_names.map(ClassNames::parse).transpose();
        let named = named.map_err(|what| Error::option("class_names", "names of classes, one per line", what))?;
        let beside = if named.is_none() { WordNetNames::find_for(path)? } else { None };
        let options = &SourceOptions {
            class_names: named.as_ref().map(|named| named.names.as_slice()),
            first_label: named.as_ref().map_or(0, |named| named.first),
            wordnet: named.as_ref().and_then(|named| named.wordnet.as_ref()).or(beside.as_ref()),
            ..*options
        };
        let source = match kind {
            SourceKind::Folders => class_folders::open(path, options),
            SourceKind::ClassTars => class_tars::open(path, options),
            SourceKind::Tar => tar_file::open(path, options),
            SourceKind::Labelled => labelled_folder::open(path, options),
            SourceKind::WebDataset => webdataset::open(path, options),
            SourceKind::Cifar => cifar::open(path, options),
            SourceKind::Idx => idx::open(path, options),
            #[cfg(feature = "hdf5")]
            SourceKind::Hdf5 => hdf5_file::open(path, options),
            #[cfg(not(feature = "hdf5"))]
            SourceKind::Hdf5 => Err(Error::source(
                path,
                "is an HDF5 file, which this build cannot read: it lacks the Cargo feature hdf5",
            )),
        }?;
        if options.classes.is_none() {
            check_class_names(path, source.samples.classes())?;
        }
        let forms = name_forms::note(source.samples.classes());
        Ok(source.with_notes(forms.into_iter().collect()))
    }

    fn new(samples: SampleList, images: impl ImageReader + 'static) -> Self {
        Self { samples, images: Box::new(images), notes: Vec::new(), side: None }
    }

    fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes.extend(notes);
        self
    }

    fn with_side(self, side: usize) -> Self {
        Self { side: Some(side), ..self }
    }

    /// Selects images of a source, without its notes; `rule` describes the choice for the fingerprint.
    pub fn select(whole: &Arc<Self>, indices: Vec<usize>, rule: &str) -> Self {
        let samples = whole.samples.select(&indices, rule);
        let images = Box::new(SubsetReader { source: Arc::clone(whole), indices });
        Self { samples, images, notes: Vec::new(), side: whole.side }
    }

    /// The labelled names.
    pub fn samples(&self) -> &SampleList {
        &self.samples
    }

    /// Reads image `index`.
    pub fn read(&self, index: usize) -> Result<ImageContent, BadImage> {
        self.images.read(&self.samples, index)
    }

    /// Notes for the user.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Side length of all images, if known.
    pub fn side(&self) -> Option<usize> {
        self.side
    }
}

/// Refuses options that a kind of source does not use.
fn check_unused_options(kind: SourceKind, options: &SourceOptions) -> Result<()> {
    if options.apply_orientation && matches!(kind, SourceKind::Cifar | SourceKind::Idx | SourceKind::Hdf5) {
        let got = "a source of bare pixels, which have no EXIF orientation; leave the option out";
        return Err(Error::option("exif_orientation", "a source of image files", got));
    }
    if let Some(labels) = options.labels.filter(|_| !matches!(kind, SourceKind::Labelled | SourceKind::Tar)) {
        let expected = "a source without labels of its own: a folder or a tar of images";
        return Err(Error::option("labels", expected, labels.display()));
    }
    let has_file = kind == SourceKind::Labelled || options.labels.is_some();
    let column = options.label_column.filter(|_| !has_file && kind != SourceKind::WebDataset);
    if let Some(column) = column {
        let expected = "a source with labels in a file (see labels), or a WebDataset with labels in .json";
        return Err(Error::option("label_column", expected, column));
    }
    if options.split == Split::Test && !matches!(kind, SourceKind::Cifar | SourceKind::Idx) {
        let expected = "train, or a source of CIFAR or MNIST, which have both parts in one folder";
        return Err(Error::option("split", expected, "test"));
    }
    match options.image_column.filter(|_| !has_file) {
        Some(column) => Err(Error::option("image_column", "a source with labels in a file (see labels)", column)),
        None => Ok(()),
    }
}

/// Folders and files created by operating systems.
const SYSTEM_NAMES: [&[u8]; 7] = [
    b"__MACOSX",
    b"@eaDir",
    b"$RECYCLE.BIN",
    b"System Volume Information",
    b"lost+found",
    b"Thumbs.db",
    b"desktop.ini",
];

/// Whether a path within a source is skipped: it, or a folder on it, is hidden or created by an operating system.
fn is_skipped(name: &[u8]) -> bool {
    let hidden = |select: &[u8]| select.starts_with(b".") && select != b"." && select != b"..";
    name.split(|&b| b == b'/').any(|select| hidden(select) || SYSTEM_NAMES.contains(&select))
}

/// Extensions of metadata files.
const METADATA_EXTENSIONS: [&[u8]; 10] =
    [b".csv", b".tsv", b".txt", b".lst", b".md", b".json", b".xml", b".yaml", b".yml", b".mat"];

/// Whether a file is, by its name, metadata and not an image.
fn is_metadata(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    METADATA_EXTENSIONS.iter().any(|ending| name.ends_with(ending))
}

/// Note on metadata files among the images, of which `first` is one.
fn metadata_note(count: usize, first: &[u8]) -> Option<String> {
    let first = String::from_utf8_lossy(first);
    (count > 0).then(|| format!("{count} metadata files among the images are skipped, the first is {first}"))
}

/// Note on files beside class folders.
fn beside_note(count: usize) -> Option<String> {
    (count > 0).then(|| format!("{count} files beside the class folders are ignored"))
}

/// Entries of a folder, sorted by name, without skipped names. Broken links have no metadata.
fn list(folder: &Path) -> Result<Vec<(std::ffi::OsString, Option<std::fs::Metadata>)>> {
    let fail = || Error::io(folder, "cannot be listed");
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail())? {
        let entry = entry.map_err(fail())?;
        if !is_skipped(entry.file_name().as_encoded_bytes()) {
            let metadata = metadata(&entry.path())?;
            entries.push((entry.file_name(), metadata));
        }
    }
    entries.sort_unstable_by(|a, b| a.0.as_encoded_bytes().cmp(b.0.as_encoded_bytes()));
    Ok(entries)
}

/// Refuses two classes of the same name.
pub(crate) fn check_class_names(path: &Path, classes: &[String]) -> Result<()> {
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

/// Metadata of a path; `None` if it does not exist. An inaccessible path is an error, so that it does not pass for a
/// missing one.
fn metadata(path: &Path) -> Result<Option<std::fs::Metadata>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::io(path, "cannot be accessed; run the same command again")(e)),
    }
}

/// Files of a folder whose names `wanted` accepts, sorted.
fn files_of(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let is_folder = |m: &Option<std::fs::Metadata>| m.as_ref().is_some_and(|m| m.is_dir());
    let listed = list(folder)?.into_iter().filter(|(_, metadata)| !is_folder(metadata));
    Ok(listed.filter(|(name, _)| name.to_str().is_some_and(&wanted)).map(|(name, _)| folder.join(name)).collect())
}

/// Last component of a path, for names and messages.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Converts the bytes of a name to a path.
#[cfg(unix)]
fn path_from_bytes(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

#[cfg(not(unix))]
fn path_from_bytes(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).as_ref())
}
