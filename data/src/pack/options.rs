//! What to pack and what came of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tensor::regular_file;

use super::LOCK;
use super::bad::{NAME as BAD, Refused};
use crate::decode::{self, DecodeOptions};
use crate::error::{Error, Result};
use crate::format::{Storage, TABLE, shard_number};
use crate::source::{Reading, SourceKind, Split};

/// What to pack, and how.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// A folder or an archive of images: see [`SourceKind`].
    pub source: PathBuf,
    /// What the source is; found by its content if it is not given.
    pub from: Option<SourceKind>,
    /// Labels of images that come without: a table of images and labels, a list in the order of the images' names, or the
    /// development kit of ILSVRC (a folder, its `.tar.gz`, or the ground truth with `meta.mat` beside it).
    pub labels: Option<PathBuf>,
    /// The column of images in `labels`, by its name or its number from 1 on; found by its name or content if it is not given.
    pub image_column: Option<String>,
    /// The column of labels in `labels`, by its name or its number from 1 on; of a WebDataset, the key of the label in
    /// `.json`. Found by its name or form if it is not given.
    pub label_column: Option<String>,
    /// Which part of a source that holds two.
    pub split: Split,
    /// Names for classes that the source only numbers; or lines of a wnid and its words, which name classes that are wnids.
    /// Other names than those that a source brings are an error.
    pub class_names: Option<Vec<String>>,
    /// Folder of the pack; made if it is missing. One that holds anything but a pack is refused.
    pub out: PathBuf,
    /// Side of the stored squares: the shorter side is resized to it, the centre kept. 1 to 4096.
    pub size: usize,
    /// How images are stored.
    pub storage: Storage,
    /// Threads that decode and resize, at least 1.
    pub jobs: usize,
    /// How many images may be bad, also of a pack that is complete already.
    pub max_bad: usize,
    /// About how many bytes a shard holds.
    pub shard_bytes: u64,
    /// The classes in order, if they are given: those of the training pack when packing for validation. A class folder
    /// that is not among them is an error; one of them without a folder is not. Labels that are numbers mean the names that
    /// the source brings for them, or classes that are named by numbers, or else places in this list.
    pub classes: Option<Vec<String>>,
    /// What is accepted as an image.
    pub decode: DecodeOptions,
    /// Set to stop after the image at hand.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl PackOptions {
    /// The paper's squares of 256, raw, in shards of 1 GiB, on all cores, no bad image allowed.
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
        for path in [Some(&self.source), self.labels.as_ref()].into_iter().flatten() {
            check_input(path)?;
        }
        self.check_out()?;
        self.check_out_is_free()
    }

    pub(super) fn reading(&self) -> Reading<'_> {
        Reading {
            from: self.from,
            labels: self.labels.as_deref(),
            split: self.split,
            classes: self.classes.as_deref(),
            class_names: self.class_names.as_deref(),
            words: None,
            image_column: self.image_column.as_deref(),
            label_column: self.label_column.as_deref(),
            max_pixels: self.decode.max_pixels,
            turned: self.decode.apply_orientation,
        }
    }

    /// A pack inside the source would be taken for a class by the next run.
    fn check_out(&self) -> Result<()> {
        let source = self.source.canonicalize().map_err(Error::io(&self.source, "cannot be read"))?;
        let out = std::path::absolute(&self.out).map_err(Error::io(&self.out, "is no usable path"))?;
        tensor::folder::check_name(&out).map_err(Error::io(&self.out, "cannot hold a pack; choose another folder"))?;
        let existing = out.ancestors().find_map(|folder| folder.canonicalize().ok());
        if existing.is_some_and(|folder| folder.starts_with(&source)) {
            let expected = format!("a folder outside of the source {}", show(&self.source));
            return Err(Error::option("out", expected, show(&self.out)));
        }
        Ok(())
    }

    /// Refuses a folder that holds something else: two sources in place of a source and a folder, say.
    fn check_out_is_free(&self) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(&self.out) else { return Ok(()) };
        let names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let is_pack = names.iter().any(|name| name == TABLE || shard_number(name).is_some());
        let other = names.iter().find(|name| !is_of_a_pack(name));
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

/// Whether packing makes a file of this name beside the shards, or the system does.
fn is_of_a_pack(name: &str) -> bool {
    matches!(name, LOCK | BAD | ".DS_Store") || name.starts_with(".alexnet-tmp-")
}

/// A folder or a file: a pipe would be waited for, a device read, without end.
fn check_input(path: &Path) -> Result<()> {
    let fail = || Error::io(path, "cannot be read");
    if fs::metadata(path).map_err(fail())?.is_dir() { Ok(()) } else { regular_file::check(path).map_err(fail()) }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// How far packing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Images done, bad ones and those of earlier runs included.
    pub done: usize,
    /// Images in the source.
    pub total: usize,
    /// Bytes of images that this run has written.
    pub bytes: u64,
}

/// What came of packing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackReport {
    /// Images in the pack.
    pub images: usize,
    /// Classes in its table.
    pub classes: usize,
    /// Its shards.
    pub shards: usize,
    /// Shards that an earlier run had finished.
    pub resumed_shards: usize,
    /// Bytes of all shards.
    pub bytes: u64,
    /// The images that were left out.
    pub refused: Vec<Refused>,
    /// The pack's fingerprint.
    pub fingerprint: String,
    /// What the user should know of the source, a sentence each.
    pub notes: Vec<String>,
    /// Whether the pack was complete before: names and lengths of the source's images were compared, none was read again.
    pub was_complete: bool,
}
