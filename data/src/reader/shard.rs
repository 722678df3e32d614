//! One mapped shard.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::Mmap;

use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct Shard {
    pub path: PathBuf,
    pub file: File,
    pub map: Mmap,
    /// Where each picture begins in the file, and where the last ends.
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
        // Reading a map beyond the end of its file would kill the process.
        let have = self.file.metadata().map_err(Error::io(&self.path, "cannot be read any more"))?.len();
        if have < self.map.len() as u64 {
            return Err(Error::Truncated { path: self.path.clone(), need: self.map.len() as u64, have });
        }
        let bytes = &self.map[self.range(record)];
        let (word, bit) = (&self.checked[record / 64], 1u64 << (record % 64));
        if once && word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(bytes);
        }
        let (expected, found) = (self.checksums[record], crc32c::crc32c(bytes));
        if expected != found {
            let what = format!("record {index} ({})", self.name(record));
            return Err(Error::Checksum { path: self.path.clone(), what, expected, found });
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(bytes)
    }

    pub fn name(&self, record: usize) -> String {
        let (bytes, offsets) = &self.names;
        String::from_utf8_lossy(&bytes[offsets[record] as usize..offsets[record + 1] as usize]).into_owned()
    }

    pub fn prefetch(&self, record: usize) {
        #[cfg(unix)]
        {
            let range = self.range(record);
            // A hint: nothing is lost if the system does not take it.
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        let _ = record;
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
