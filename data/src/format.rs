//! What writer and reader of packs agree on; `FORMAT.md` says it for people.
//!
//! Every file of a pack begins with a block that the HDF5 library skips (its user block). It holds the file's length
//! and a checksum of all bytes but the images, which have one each: nothing of a damaged file is ever interpreted.

use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};

/// The newest version that is read, and the one that is written.
pub(crate) const VERSION: u32 = 1;
/// Length of the block before the HDF5 content.
pub(crate) const BLOCK: usize = 4096;
/// The file that completes a pack.
pub(crate) const TABLE: &str = "pack.h5";

/// What the settings of a pack end with whose images were turned as their EXIF orientation says.
pub(crate) const TURNED: &str = ", turned by EXIF";

const MAGIC: &[u8; 16] = b"ALEXNET PACK\r\n\x1a\n";
/// Where the block's own checksum stands.
const SEAL: usize = BLOCK - 4;

/// Name of shard `number`.
pub(crate) fn shard_name(number: usize) -> String {
    format!("shard-{number:05}.h5")
}

/// The number in a shard's name.
pub(crate) fn shard_number(name: &str) -> Option<usize> {
    name.strip_prefix("shard-")?.strip_suffix(".h5")?.parse().ok()
}

/// Whether a file begins as those of a pack do.
pub(crate) fn is_pack_file(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// Which of a pack's files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Table = 0,
    Shard = 1,
}

/// The block at the start of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub role: Role,
    /// Length of the whole file.
    pub length: u64,
    /// Where the images' bytes lie; empty without images.
    pub images: Range<u64>,
    /// CRC-32C of the bytes after the block and outside `images`.
    pub content: u32,
}

impl Block {
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[..16].copy_from_slice(MAGIC);
        block[16..20].copy_from_slice(&VERSION.to_le_bytes());
        block[20..24].copy_from_slice(&(self.role as u32).to_le_bytes());
        block[24..32].copy_from_slice(&self.length.to_le_bytes());
        block[32..40].copy_from_slice(&self.images.start.to_le_bytes());
        block[40..48].copy_from_slice(&(self.images.end - self.images.start).to_le_bytes());
        block[48..52].copy_from_slice(&self.content.to_le_bytes());
        let seal = crc32c::crc32c(&block[..SEAL]);
        block[SEAL..].copy_from_slice(&seal.to_le_bytes());
        block
    }

    /// Reads the block of `path`'s first bytes and checks it against the file's true length.
    pub fn decode(path: &Path, start: &[u8], length: u64, role: Role) -> Result<Self> {
        let damaged = |what: &str| Err(Error::pack(path, what));
        let word = |at: usize| start[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        let long = |at: usize| start[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        if !start.starts_with(&MAGIC[..start.len().min(16)]) {
            return damaged("is not a file of a pack");
        }
        if start.len() < BLOCK {
            return Err(Error::Truncated { path: path.into(), need: BLOCK as u64, have: length });
        }
        if word(16) > VERSION {
            return Err(Error::Version { path: path.into(), found: word(16), supported: VERSION });
        }
        let expected = word(SEAL);
        let found = crc32c::crc32c(&start[..SEAL]);
        if expected != found {
            return Err(Error::Checksum { path: path.into(), what: "the first block".into(), expected, found });
        }
        if word(20) != role as u32 {
            return damaged("is another file of a pack than its name says");
        }
        let need = long(24);
        if length < need {
            return Err(Error::Truncated { path: path.into(), need, have: length });
        }
        if length > need {
            return damaged(&format!("expected {need} bytes, found {length}"));
        }
        let begin = long(32);
        let count = long(40);
        let images = begin..begin.saturating_add(count);
        let inside = begin >= BLOCK as u64 && images.end <= length;
        if count > 0 && !inside {
            return damaged(&format!("its images are said to lie at {images:?} of {length} bytes"));
        }
        Ok(Self { role, length, images: if count > 0 { images } else { 0..0 }, content: word(48) })
    }

    /// Checks all bytes but the images.
    pub fn check_content(&self, path: &Path, file: &[u8]) -> Result<()> {
        let found = content_checksum(file, &self.images);
        if found != self.content {
            let what = "the header and tables".into();
            return Err(Error::Checksum { path: path.into(), what, expected: self.content, found });
        }
        Ok(())
    }
}

/// CRC-32C of what lies after the block and outside `images`.
pub(crate) fn content_checksum(file: &[u8], images: &Range<u64>) -> u32 {
    if images.is_empty() {
        return crc32c::crc32c(&file[BLOCK..]);
    }
    let head = crc32c::crc32c(&file[BLOCK..images.start as usize]);
    crc32c::crc32c_append(head, &file[images.end as usize..])
}

/// How images are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `size * size * 3` bytes an image, nothing to decode.
    Raw,
    /// Encoded again as JPEG of this quality, 1 to 100.
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
}

impl Storage {
    /// JPEG of quality 95: about a tenth of the bytes, and no difference to see.
    pub const JPEG: Self = Self::Jpeg { quality: 95 };
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Raw => f.write_str("raw"),
            Self::Jpeg { quality } => write!(f, "jpeg of quality {quality}"),
        }
    }
}
