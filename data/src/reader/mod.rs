//! Reading packs, memory-mapped.
//!
//! Everything but the images is checked when a pack is opened; each image when it is first read. Before a record
//! is read, the file's length and time of change are asked of the system, so a pack that is cut or written to while it
//! is open is an error; a loader asks again when a batch is made, before it hands it over. Should a file be cut in the
//! instant between, the system stops the process with SIGBUS: [`exit_on_cut_file`] makes that a message.

mod open;
mod shard;
#[cfg(unix)]
mod sigbus;

use std::borrow::Cow;
use std::fmt::{Debug, Formatter};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::format::Storage;
use crate::jpeg::{self, Region};
use crate::statistics::Statistics;
use shard::Shard;

pub(crate) use open::open_checked;
#[cfg(unix)]
pub use sigbus::exit_on_cut_file;

/// An open pack. Cheap to share between threads.
pub struct Pack {
    path: PathBuf,
    size: usize,
    storage: Storage,
    classes: Vec<String>,
    statistics: Statistics,
    fingerprint: String,
    exif_orientation: bool,
    shards: Vec<Shard>,
    /// The number of images before each shard.
    starts: Vec<usize>,
    len: usize,
}

impl Pack {
    /// Opens the pack in a folder. All of it but the images is checked.
    ///
    /// # Errors
    /// [`Error::Source`] if there is no complete pack; [`Error::Truncated`], [`Error::Version`], [`Error::Checksum`]
    /// and [`Error::Pack`] if a file is not as it was written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        open::open(path.as_ref())
    }

    /// The pack's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no images; a pack always has some.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Side of the square images.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How the images are stored.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Names of the classes; labels are indices into them.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Means and colour components of all images.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Identifies classes, labels and images: 32 hexadecimal digits, the same for any copy of the pack.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether the images were turned as their EXIF orientation says.
    pub fn exif_orientation(&self) -> bool {
        self.exif_orientation
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Bytes of all shards.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.map.len() as u64).sum()
    }

    /// How many images each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for label in self.shards.iter().flat_map(|shard| &shard.labels) {
            counts[*label as usize] += 1;
        }
        counts
    }

    /// The label of image `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Pack::len`].
    pub fn label(&self, index: usize) -> u32 {
        let (shard, record) = self.locate(index);
        shard.labels[record]
    }

    /// The name of image `index`'s file within its source.
    ///
    /// # Panics
    /// If `index` is not below [`Pack::len`].
    pub fn name(&self, index: usize) -> String {
        let (shard, record) = self.locate(index);
        shard.name(record)
    }

    /// The stored bytes of image `index`: its pixels, or a JPEG. Their checksum is compared when they are first read.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file was cut since it was opened, [`Error::Checksum`] naming the record and its
    /// source if the bytes changed.
    ///
    /// # Panics
    /// If `index` is not below [`Pack::len`].
    pub fn stored(&self, index: usize) -> Result<&[u8]> {
        let (shard, record) = self.locate(index);
        shard.read(record, index, true)
    }

    /// The pixels of image `index`: `size * size * 3` bytes, RGB, rows from the top. Borrowed from the mapped file
    /// where they are stored as they are.
    ///
    /// # Errors
    /// As [`Pack::stored`], and [`Error::Pack`] if a stored JPEG is not one of the right size.
    ///
    /// # Panics
    /// If `index` is not below [`Pack::len`].
    pub fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let stored = self.stored(index)?;
        if self.storage == Storage::Raw {
            return Ok(Cow::Borrowed(stored));
        }
        let mut pixels = vec![0; self.size * self.size * 3];
        self.decode(index, stored, 0..self.size, 0..self.size, &mut pixels)?;
        Ok(Cow::Owned(pixels))
    }

    /// Fills `out` with the pixels of image `index`.
    ///
    /// # Errors
    /// As [`Pack::pixels`].
    pub(crate) fn read_into(&self, index: usize, out: &mut [u8]) -> Result<()> {
        let stored = self.stored(index)?;
        match self.storage {
            Storage::Raw => out.copy_from_slice(stored),
            Storage::Jpeg { .. } => self.decode(index, stored, 0..self.size, 0..self.size, out)?,
        }
        Ok(())
    }

    /// The pixels of image `index`, of which only `rows` and `columns` are looked at: in `buffer` where they have to be
    /// decoded, and then the rest is anything.
    ///
    /// # Errors
    /// As [`Pack::pixels`].
    pub(crate) fn part<'a>(
        &'a self,
        index: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        let stored = self.stored(index)?;
        if self.storage == Storage::Raw {
            return Ok(stored);
        }
        buffer.resize(self.size * self.size * 3, 0);
        self.decode(index, stored, rows, columns, buffer)?;
        Ok(buffer)
    }

    /// Decodes a stored JPEG, or part of it, into `out` `[size, size, 3]`.
    fn decode(
        &self,
        index: usize,
        stored: &[u8],
        rows: Range<usize>,
        columns: Range<usize>,
        out: &mut [u8],
    ) -> Result<()> {
        jpeg::decode_part(stored, self.size, &Region { rows, columns }, out).map_err(|reason| {
            let (shard, record) = self.locate(index);
            Error::pack(&shard.path, format!("record {index} ({}): {reason}", shard.name(record)))
        })
    }

    /// Compares the checksums of all images, on all of rayon's threads.
    ///
    /// # Errors
    /// The error of the first image that is not as it was written.
    pub fn verify(&self) -> Result<()> {
        self.verify_with(|_| ())
    }

    /// [`Pack::verify`], telling `progress` how many images are done.
    ///
    /// # Errors
    /// As [`Pack::verify`].
    pub fn verify_with(&self, progress: impl Fn(usize) + Sync) -> Result<()> {
        match self.damaged(progress).into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The images that are not as they were written, in order, with what is wrong; found on all of rayon's threads.
    /// `progress` is told how many images are done.
    pub fn damaged(&self, progress: impl Fn(usize) + Sync) -> Vec<(usize, Error)> {
        let done = AtomicUsize::new(0);
        let check = |index: usize| {
            let (shard, record) = self.locate(index);
            let error = shard.read(record, index, false).err();
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            error.map(|error| (index, error))
        };
        (0..self.len).into_par_iter().filter_map(check).collect()
    }

    /// Bytes that the images take as they are stored.
    pub fn stored_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes(0..shard.labels.len())).sum()
    }

    /// Bytes of some images of one shard.
    pub(crate) fn bytes_of(&self, images: &Range<usize>) -> u64 {
        if images.is_empty() {
            return 0;
        }
        let (shard, record) = self.locate(images.start);
        shard.bytes(record..record + images.len())
    }

    /// The images of each shard that has some.
    pub(crate) fn shard_ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let ranges = self.starts.iter().zip(&self.shards).map(|(&start, shard)| start..start + shard.labels.len());
        ranges.filter(|range| !range.is_empty())
    }

    /// Fails if the file of one of these images was cut or written to since the pack was opened: asked after they
    /// were read, it vouches for what was read.
    pub(crate) fn check_unchanged(&self, images: &[u64]) -> Result<()> {
        let mut seen = vec![false; self.shards.len()];
        for &index in images {
            let number = self.starts.partition_point(|&start| start <= index as usize) - 1;
            if !std::mem::replace(&mut seen[number], true) {
                self.shards[number].check_unchanged()?;
            }
        }
        Ok(())
    }

    /// Tells the system that image `index` will be read soon.
    pub(crate) fn prefetch(&self, index: usize) {
        let (shard, record) = self.locate(index);
        shard.prefetch(record);
    }

    fn locate(&self, index: usize) -> (&Shard, usize) {
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
