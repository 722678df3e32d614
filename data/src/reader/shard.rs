//! One mapped shard.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use memmap2::Mmap;

use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct Shard {
    pub path: PathBuf,
    pub file: File,
    pub map: Mmap,
    /// When the file was last written to, as it was opened; none where the system does not say.
    pub modified: Option<SystemTime>,
    /// Where each image begins in the file, and where the last ends.
    pub offsets: Offsets,
    pub labels: Vec<u32>,
    pub checksums: Vec<u32>,
    /// Source names back to back, and where each begins.
    pub names: (Vec<u8>, Vec<u64>),
    /// A bit a record: its checksum was found right.
    pub checked: Vec<AtomicU64>,
}

#[derive(Debug)]
pub(super) enum Offsets {
    Even { start: usize, bytes: usize },
    Listed { start: usize, offsets: Vec<u64> },
}

impl Shard {
    /// The stored bytes of a record; `index` is its number in the pack, for messages. With `once`, a checksum that was
    /// found right is not computed again.
    pub fn read(&self, record: usize, index: usize, once: bool) -> Result<&[u8]> {
        self.check_unchanged()?;
        let bytes = &self.map[self.range(record)];
        let word = &self.checked[record / 64];
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

    /// Fails if the file was cut or written to since it was opened.
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
        let (bytes, offsets) = &self.names;
        String::from_utf8_lossy(&bytes[offsets[record] as usize..offsets[record + 1] as usize]).into_owned()
    }

    /// Tells the system that a record is wanted. Measured from a cold cache (`benches/RESULTS.md`): in a random order that is
    /// faster than nothing, and faster than in pieces; in the pack's order the system reads ahead as well by itself.
    /// `MADV_RANDOM` without it is ten times slower, and `MADV_SEQUENTIAL` no help.
    pub fn prefetch(&self, record: usize) {
        #[cfg(unix)]
        {
            let range = self.range(record);
            // Nothing is lost if the system does not take the hint.
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        let _ = record;
    }

    /// Bytes of some records.
    pub fn bytes(&self, records: Range<usize>) -> u64 {
        match &self.offsets {
            Offsets::Even { bytes, .. } => (records.len() * bytes) as u64,
            Offsets::Listed { offsets, .. } => offsets[records.end] - offsets[records.start],
        }
    }

    fn range(&self, record: usize) -> Range<usize> {
        match &self.offsets {
            Offsets::Even { start, bytes } => start + record * bytes..start + (record + 1) * bytes,
            Offsets::Listed { start, offsets } => {
                start + offsets[record] as usize..start + offsets[record + 1] as usize
            }
        }
    }
}

#[cfg(unix)]
impl Drop for Shard {
    fn drop(&mut self) {
        super::sigbus::unwatch(&self.map);
    }
}
