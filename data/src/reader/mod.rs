//! Memory-mapped reading of packs.
//!
//! Everything except the images is verified when a pack is opened, and each image when it is first read. Before each
//! read the file's length and modification time are checked, so truncating or modifying an open pack is an error; a
//! loader checks again before it hands over a batch, and code that reads the images of a batch in the mapped pack
//! checks before and after. If a file is truncated between check and read, the system kills the process with SIGBUS;
//! [`install_sigbus_handler`] turns that into an error message.

mod dataset;
mod open;
mod shard;
#[cfg(unix)]
mod sigbus;

use std::borrow::Cow;
use std::fmt::{Debug, Formatter};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::format::Storage;
use crate::jpeg::{self, Region};
use crate::statistics::Statistics;
use shard::MappedShard;

pub(crate) use open::open_checked;
#[cfg(unix)]
pub use sigbus::install_sigbus_handler;

/// An open pack, shareable between threads.
///
/// ```no_run
/// let pack = alexnet_data::Pack::open("train.pack")?;
/// println!("{} images of {} classes, mean {:?}", pack.len(), pack.classes().len(), pack.statistics().mean_rgb);
/// let pixels = pack.pixels(7)?;
/// println!("{}: label {}, first pixel {:?}", pack.name(7), pack.label(7), &pixels[..3]);
/// # Ok::<(), alexnet_data::Error>(())
/// ```
pub struct Pack {
    path: PathBuf,
    size: usize,
    storage: Storage,
    classes: Vec<String>,
    statistics: Statistics,
    fingerprint: String,
    exif_orientation: bool,
    shards: Vec<MappedShard>,
    /// Number of images before each shard.
    starts: Vec<usize>,
    len: usize,
    /// Bytes of images that were read so far.
    bytes_read: AtomicU64,
}

impl Pack {
    /// After each so many bytes that are read, a pack leaves the process's memory. It stays in the system's cache of files,
    /// from where it is mapped again without reading the disk. Otherwise a process that read all of a pack would count
    /// all of it as its memory.
    pub const RELEASE_BYTES: u64 = 64 << 20;

    /// Opens the pack in a folder and verifies everything except the images.
    ///
    /// # Errors
    /// [`Error::Source`] if there is no complete pack; [`Error::Truncated`], [`Error::Version`], [`Error::Checksum`]
    /// and [`Error::Pack`] if a file is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        open::open(path.as_ref())
    }

    /// Whether a folder is that of a pack, complete or not: it holds a table or a first shard.
    pub fn is_at(path: impl AsRef<Path>) -> bool {
        open::is_pack(path.as_ref())
    }

    /// Folder of the pack.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always false: a pack has at least one image.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Side length of the square images in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Size of a decoded image in bytes.
    pub(crate) fn image_bytes(&self) -> usize {
        self.size * self.size * 3
    }

    /// Encoding of the stored images.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Class names; labels are indices into them.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Mean image and colour statistics of all images.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Fingerprint of classes, labels and images: 32 hexadecimal digits, identical for all copies of a pack.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether the images were rotated by their EXIF orientation.
    pub fn exif_orientation(&self) -> bool {
        self.exif_orientation
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Total size of all shards in bytes.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.map.len() as u64).sum()
    }

    /// Number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for label in self.shards.iter().flat_map(|shard| &shard.labels) {
            counts[*label as usize] += 1;
        }
        counts
    }

    /// Label of image `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Pack::len`].
    pub fn label(&self, index: usize) -> u32 {
        let (shard, record) = self.locate(index);
        shard.labels[record]
    }

    /// File name of image `index` within its source.
    ///
    /// # Panics
    /// If `index` is not below [`Pack::len`].
    pub fn name(&self, index: usize) -> String {
        let (shard, record) = self.locate(index);
        shard.name(record)
    }

    /// Stored bytes of image `index`: raw pixels, or a JPEG. The checksum is verified on the first read.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Changed`] if the file was modified since it was opened, [`Error::Checksum`]
    /// with the record and its source name if the bytes are damaged.
    ///
    /// # Panics
    /// If `index` is not below [`Pack::len`].
    pub fn stored(&self, index: usize) -> Result<&[u8]> {
        let (shard, record) = self.locate(index);
        let bytes = shard.read(record, index, true)?;
        self.count_read(bytes.len() as u64);
        Ok(bytes)
    }

    /// Counts bytes that were read, and releases the memory of what was read so far if they are many.
    fn count_read(&self, bytes: u64) {
        let before = self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        if before / Self::RELEASE_BYTES != (before + bytes) / Self::RELEASE_BYTES {
            self.shards.iter().for_each(MappedShard::release);
        }
    }

    /// Pixels of image `index`: `size * size * 3` bytes of RGB, rows from the top. Raw images are borrowed from the
    /// mapped file.
    ///
    /// # Errors
    /// Same as [`Pack::stored`], and [`Error::Pack`] if a stored JPEG is damaged or has the wrong size.
    ///
    /// # Panics
    /// If `index` is not below [`Pack::len`].
    pub fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let stored = self.stored(index)?;
        if self.storage == Storage::Raw {
            return Ok(Cow::Borrowed(stored));
        }
        let mut pixels = vec![0; self.image_bytes()];
        self.decode(index, stored, 0..self.size, 0..self.size, &mut pixels)?;
        Ok(Cow::Owned(pixels))
    }

    /// Decodes a region of a stored JPEG into `out`, `[size, size, 3]`.
    fn decode(
        &self,
        index: usize,
        stored: &[u8],
        rows: Range<usize>,
        columns: Range<usize>,
        out: &mut [u8],
    ) -> Result<()> {
        jpeg::decode_region(stored, self.size, &Region { rows, columns }, out).map_err(|reason| {
            let (shard, record) = self.locate(index);
            Error::pack(&shard.path, format!("record {index} ({}): {reason}", shard.name(record)))
        })
    }

    /// Verifies the checksums of all images on rayon's global thread pool.
    ///
    /// # Errors
    /// The error of the first damaged image.
    pub fn verify(&self) -> Result<()> {
        self.verify_with(|_| ())
    }

    /// Like [`Pack::verify`], calling `progress` with the number of images verified so far.
    ///
    /// # Errors
    /// Same as [`Pack::verify`].
    pub fn verify_with(&self, progress: impl Fn(usize) + Sync) -> Result<()> {
        match self.find_damaged(progress).into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Indices and errors of all damaged images, in order, found on rayon's global thread pool. Calls `progress` with
    /// the number of images verified so far.
    pub fn find_damaged(&self, progress: impl Fn(usize) + Sync) -> Vec<(usize, Error)> {
        let verified = AtomicUsize::new(0);
        let check = |index: usize| {
            let (shard, record) = self.locate(index);
            let error = shard.read(record, index, false).map(|bytes| self.count_read(bytes.len() as u64)).err();
            progress(verified.fetch_add(1, Ordering::Relaxed) + 1);
            error.map(|error| (index, error))
        };
        (0..self.len).into_par_iter().filter_map(check).collect()
    }

    /// Total stored size of the images in bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes(0..shard.labels.len())).sum()
    }

    fn locate(&self, index: usize) -> (&MappedShard, usize) {
        assert!(index < self.len, "image {index} of a pack of {}", self.len);
        let shard = self.starts.partition_point(|&start| start <= index) - 1;
        (&self.shards[shard], index - self.starts[shard])
    }
}

impl Debug for Pack {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack")
            .field("path", &self.path)
            .field("len", &self.len)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
