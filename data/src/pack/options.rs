//! Options, progress and report of packing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use files::regular_file;

use super::LOCK;
use super::rejected::{FILE_NAME as REJECTED_FILE, Rejected};
use crate::decode::{self, DecodeOptions};
use crate::error::{Error, Result};
use crate::format::{Storage, TABLE_FILE, shard_number};
use crate::source::{SourceKind, SourceOptions, Split};

/// Options of [`pack`](fn@crate::pack).
///
/// ```
/// use alexnet_data::{PackOptions, Storage};
///
/// let options = PackOptions { size: 224, storage: Storage::JPEG, max_bad: 10, ..PackOptions::new("images", "a.pack") };
/// assert_eq!(options.shard_bytes, 1 << 30);
/// ```
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Source of the images, a folder or an archive: see [`SourceKind`].
    pub source: PathBuf,
    /// Kind of the source; `None` detects it from the content.
    pub from: Option<SourceKind>,
    /// Labels for an unlabelled source: a table of images and labels, a list in the order of the image names, or the
    /// development kit of ILSVRC (a folder, its `.tar.gz`, or the ground truth with `meta.mat` beside it).
    pub labels: Option<PathBuf>,
    /// Column of images in `labels`, by name or 1-based number; `None` detects it from its name or content.
    pub image_column: Option<String>,
    /// Column of labels in `labels`, by name or 1-based number; for a WebDataset, the key of the label in `.json`.
    /// `None` detects it from its name or form.
    pub label_column: Option<String>,
    /// Split to read from a source that holds two.
    pub split: Split,
    /// Names of classes that the source only numbers, as the lines of a file of them (see
    /// [`read_class_names`](crate::read_class_names)); lines of a wnid and its words also name classes that are wnids.
    /// Names that contradict those of the source are an error.
    pub class_names: Option<Vec<String>>,
    /// Folder of the pack, created if missing. A folder that holds anything but a pack is refused.
    pub out: PathBuf,
    /// Side length of the stored images, 1 to 4096 pixels: the shorter side is resized to it and the centre kept.
    pub size: usize,
    /// Encoding of the stored images.
    pub storage: Storage,
    /// Number of decoding threads, at least 1.
    pub jobs: usize,
    /// Maximum number of rejected images. Also checked for a complete pack.
    pub max_bad: usize,
    /// Approximate size of a shard in bytes, at least 1.
    pub shard_bytes: u64,
    /// Class names in label order, usually those of the training pack when packing for validation. A class folder that
    /// is not among them is an error; a class without a folder is not. Numeric labels refer to the names the source has
    /// for them, or to classes named by numbers, or else to positions in this list.
    pub classes: Option<Vec<String>>,
    /// Limits and options of image decoding.
    pub decode: DecodeOptions,
    /// Flag that stops packing after the current image.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl PackOptions {
    /// Default options: images of 256 x 256 as in the paper, raw, in shards of 1 GiB, on all cores, rejecting no image.
    pub fn new(source: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            from: None,
            labels: None,
            image_column: None,
            label_column: None,
            split: Split::Train,
            class_names: None,
            out: out.into(),
            size: 256,
            storage: Storage::Raw,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            max_bad: 0,
            shard_bytes: 1 << 30,
            classes: None,
            decode: DecodeOptions::default(),
            cancel: None,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.check_storing()?;
        for path in [Some(&self.source), self.labels.as_ref()].into_iter().flatten() {
            check_input(path)?;
        }
        self.check_out()?;
        self.check_out_contents()
    }

    /// Checks all options but those of the source and the folder.
    pub(super) fn check_storing(&self) -> Result<()> {
        decode::check_square(self.size)?;
        if self.jobs == 0 {
            return Err(Error::option("jobs", "at least 1", 0));
        }
        if self.shard_bytes == 0 {
            return Err(Error::option("shard_bytes", "at least 1", 0));
        }
        if let Storage::Jpeg { quality: quality @ (0 | 101..) } = self.storage {
            return Err(Error::option("storage", "a JPEG quality of 1 to 100", quality));
        }
        if self.classes.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::option("classes", "at least one class", "none"));
        }
        Ok(())
    }

    pub(super) fn source_options(&self) -> SourceOptions<'_> {
        SourceOptions {
            from: self.from,
            labels: self.labels.as_deref(),
            split: self.split,
            classes: self.classes.as_deref(),
            class_names: self.class_names.as_deref(),
            first_label: 0,
            wordnet: None,
            image_column: self.image_column.as_deref(),
            label_column: self.label_column.as_deref(),
            max_pixels: self.decode.max_pixels,
            apply_orientation: self.decode.apply_orientation,
        }
    }

    /// Refuses a pack inside the source, which the next run would take for a class.
    fn check_out(&self) -> Result<()> {
        let source = self.source.canonicalize().map_err(Error::io(&self.source, "cannot be read"))?;
        let out = self.absolute_out()?;
        let existing = out.ancestors().find_map(|folder| folder.canonicalize().ok());
        if existing.is_some_and(|folder| folder.starts_with(&source)) {
            let expected = format!("a folder outside of the source {}", show(&self.source));
            return Err(Error::option("out", expected, show(&self.out)));
        }
        Ok(())
    }

    /// The absolute path of the pack's folder, which must be UTF-8 for the HDF5 library.
    pub(super) fn absolute_out(&self) -> Result<PathBuf> {
        let out = std::path::absolute(&self.out).map_err(Error::io(&self.out, "is not a usable path"))?;
        files::folder::check_utf8(&out).map_err(Error::io(&self.out, "cannot hold a pack; choose another folder"))?;
        Ok(out)
    }

    /// Refuses a folder that holds something else, for example a second source given by mistake.
    pub(super) fn check_out_contents(&self) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(&self.out) else { return Ok(()) };
        let names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let is_pack = names.iter().any(|name| name == TABLE_FILE || shard_number(name).is_some());
        let other = names.iter().find(|name| !is_auxiliary_file(name));
        match other.filter(|_| !is_pack) {
            Some(other) => {
                let got = format!("{}, which holds {other} and no pack", show(&self.out));
                Err(Error::option("out", "a new or empty folder, or one with a pack", got))
            }
            None => Ok(()),
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// Whether packing or the operating system creates a file of this name.
fn is_auxiliary_file(name: &str) -> bool {
    matches!(name, LOCK | REJECTED_FILE | ".DS_Store") || name.starts_with(".alexnet-tmp-")
}

/// Refuses anything but a folder or a regular file: reading a pipe or device may never end.
fn check_input(path: &Path) -> Result<()> {
    let fail = || Error::io(path, "cannot be read");
    if fs::metadata(path).map_err(fail())?.is_dir() { Ok(()) } else { regular_file::check(path).map_err(fail()) }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Progress of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of processed images, including rejected ones and those of earlier runs.
    pub done: usize,
    /// Number of images in the source.
    pub total: usize,
    /// Bytes of images written by this run.
    pub bytes: u64,
}

/// Result of packing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackReport {
    /// Number of images in the pack.
    pub images: usize,
    /// Number of classes.
    pub classes: usize,
    /// Number of shards.
    pub shards: usize,
    /// Number of shards finished by an earlier run.
    pub resumed_shards: usize,
    /// Total size of all shards in bytes.
    pub bytes: u64,
    /// The rejected images.
    pub rejected: Vec<Rejected>,
    /// Fingerprint of the pack.
    pub fingerprint: String,
    /// Notes on the source for the user, one sentence each.
    pub notes: Vec<String>,
    /// Whether the pack was already complete. In that case only names and lengths of the source's images were compared.
    pub was_complete: bool,
}
