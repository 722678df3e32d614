//! One memory-mapped shard.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct MappedShard {
    pub path: PathBuf,
    pub file: File,
    pub map: Mmap,
    /// Modification time when the file was opened; `None` if the system reports none.
    pub modified: Option<SystemTime>,
    /// Byte ranges of the images in the file.
    pub offsets: Offsets,
    pub labels: Vec<u32>,
    pub checksums: Vec<u32>,
    /// Source names, concatenated.
    pub names: Vec<u8>,
    /// Start of each name in `names`, and the end of the last.
    pub name_offsets: Vec<u64>,
    /// One bit per record: its checksum has been verified.
    pub verified: Vec<AtomicU64>,
}

#[derive(Debug)]
pub(super) enum Offsets {
    Fixed { start: usize, bytes: usize },
    Variable { start: usize, offsets: Vec<u64> },
}

impl MappedShard {
    /// Stored bytes of a record; `index` is its index in the pack, for messages. With `once`, a checksum already
    /// verified is not computed again.
    pub fn read(&self, record: usize, index: usize, once: bool) -> Result<&[u8]> {
        self.check_unchanged()?;
        let bytes = self.mapped(record);
        let word = &self.verified[record / 64];
        let bit = 1u64 << (record % 64);
        if once && word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(bytes);
        }
        let expected = self.checksums[record];
        let found = crc32c::crc32c(bytes);
        if expected != found {
            let what = format!("record {index} ({})", self.name(record));
            return Err(Error::Checksum { path: self.path.clone(), what, expected, found });
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(bytes)
    }

    /// Stored bytes of a record, without any check.
    pub fn mapped(&self, record: usize) -> &[u8] {
        &self.map[self.range(record)]
    }

    /// Checks that the file was not modified since it was opened.
    pub fn check_unchanged(&self) -> Result<()> {
        let now = self.file.metadata().map_err(Error::io(&self.path, "cannot be read any more"))?;
        let need = self.map.len() as u64;
        let have = now.len();
        // Reading a map beyond the end of its file would kill the process.
        if have < need {
            return Err(Error::Truncated { path: self.path.clone(), need, have });
        }
        if have > need || now.modified().ok() != self.modified {
            return Err(Error::Changed { path: self.path.clone() });
        }
        Ok(())
    }

    pub fn name(&self, record: usize) -> String {
        let start = self.name_offsets[record] as usize;
        let end = self.name_offsets[record + 1] as usize;
        String::from_utf8_lossy(&self.names[start..end]).into_owned()
    }

    /// Advises the system that a record will be read soon. Measured from a cold cache (`benches/RESULTS.md`): faster
    /// than no advice in random order, and faster than advising parts of a record; in pack order the system's own
    /// readahead is as good. `MADV_RANDOM` alone is ten times slower, and `MADV_SEQUENTIAL` does not help.
    pub fn prefetch(&self, record: usize) {
        #[cfg(unix)]
        {
            let range = self.range(record);
            // The hint is optional.
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        let _ = record;
    }

    /// Takes the file out of this process's memory; it stays in the system's cache of files.
    pub fn release(&self) {
        #[cfg(unix)]
        {
            // SAFETY: the map is shared and only read: what left memory is read from the file again. The advice is
            // optional.
            let _ = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
        }
    }

    /// Stored size in bytes of a range of records.
    pub fn bytes(&self, records: Range<usize>) -> u64 {
        match &self.offsets {
            Offsets::Fixed { bytes, .. } => (records.len() * bytes) as u64,
            Offsets::Variable { offsets, .. } => offsets[records.end] - offsets[records.start],
        }
    }

    fn range(&self, record: usize) -> Range<usize> {
        match &self.offsets {
            Offsets::Fixed { start, bytes } => start + record * bytes..start + (record + 1) * bytes,
            Offsets::Variable { start, offsets } => {
                start + offsets[record] as usize..start + offsets[record + 1] as usize
            }
        }
    }
}

/// Smallest page size of the systems that this runs on.
const PAGE_BYTES: usize = 4096;

/// Reads a byte of every page, so that all are in memory and mapped.
pub(super) fn touch_pages(bytes: &[u8]) {
    let one_per_page = bytes.iter().step_by(PAGE_BYTES).chain(bytes.last());
    std::hint::black_box(one_per_page.fold(0, |sum, byte| sum ^ byte));
}

#[cfg(unix)]
impl Drop for MappedShard {
    fn drop(&mut self) {
        super::sigbus::unregister(&self.map);
    }
}
