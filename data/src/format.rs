//! The pack format shared by writer and reader, as documented in `FORMAT.md`.
//!
//! Every file of a pack begins with a header in the HDF5 user block, which the HDF5 library skips. The header holds the
//! file's length and a checksum of everything except the images, which have a checksum each, so a damaged file is never
//! interpreted.

use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};

/// Format version written, and the newest that is read.
pub(crate) const VERSION: u32 = 1;
/// Length of the header before the HDF5 content, in bytes.
pub(crate) const HEADER_BYTES: usize = 4096;
/// File name of the table, which is written last.
pub(crate) const TABLE_FILE: &str = "pack.h5";

/// Suffix of the `settings` attribute of packs whose images were rotated by their EXIF orientation.
pub(crate) const EXIF_APPLIED: &str = ", turned by EXIF";

const MAGIC: &[u8; 16] = b"ALEXNET PACK\r\n\x1a\n";
/// Offset of the header's own checksum.
const CHECKSUM_AT: usize = HEADER_BYTES - 4;

/// File name of shard `number`.
pub(crate) fn shard_name(number: usize) -> String {
    format!("shard-{number:05}.h5")
}

/// Shard number in a file name.
pub(crate) fn shard_number(name: &str) -> Option<usize> {
    name.strip_prefix("shard-")?.strip_suffix(".h5")?.parse().ok()
}

/// Whether `start` are the first bytes of a pack file.
pub(crate) fn is_pack_file(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// Kind of a pack file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Table = 0,
    Shard = 1,
}

/// The header at the start of a pack file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub kind: FileKind,
    /// Length of the whole file in bytes.
    pub length: u64,
    /// Byte range of the images; empty if there are none.
    pub images: Range<u64>,
    /// CRC-32C of the bytes after the header and outside `images`.
    pub content_checksum: u32,
}

impl FileHeader {
    pub fn encode(&self) -> Vec<u8> {
        let mut header = vec![0; HEADER_BYTES];
        header[..16].copy_from_slice(MAGIC);
        header[16..20].copy_from_slice(&VERSION.to_le_bytes());
        header[20..24].copy_from_slice(&(self.kind as u32).to_le_bytes());
        header[24..32].copy_from_slice(&self.length.to_le_bytes());
        header[32..40].copy_from_slice(&self.images.start.to_le_bytes());
        header[40..48].copy_from_slice(&(self.images.end - self.images.start).to_le_bytes());
        header[48..52].copy_from_slice(&self.content_checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..CHECKSUM_AT]);
        header[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Parses the header from the first bytes of `path` and checks it against the file's actual length.
    pub fn decode(path: &Path, start: &[u8], length: u64, kind: FileKind) -> Result<Self> {
        let damaged = |what: &str| Err(Error::pack(path, what));
        let u32_at = |at: usize| start[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        let u64_at = |at: usize| start[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        if !start.starts_with(&MAGIC[..start.len().min(16)]) {
            return damaged("is not a file of a pack");
        }
        if start.len() < HEADER_BYTES {
            return Err(Error::Truncated { path: path.into(), need: HEADER_BYTES as u64, have: length });
        }
        if u32_at(16) > VERSION {
            return Err(Error::Version { path: path.into(), found: u32_at(16), supported: VERSION });
        }
        let expected = u32_at(CHECKSUM_AT);
        let found = crc32c::crc32c(&start[..CHECKSUM_AT]);
        if expected != found {
            return Err(Error::Checksum { path: path.into(), what: "the first block".into(), expected, found });
        }
        if u32_at(20) != kind as u32 {
            return damaged("is another file of a pack than its name says");
        }
        let need = u64_at(24);
        if length < need {
            return Err(Error::Truncated { path: path.into(), need, have: length });
        }
        if length > need {
            return damaged(&format!("expected {need} bytes, found {length}"));
        }
        let images_start = u64_at(32);
        let images_bytes = u64_at(40);
        let images = images_start..images_start.saturating_add(images_bytes);
        let inside = images_start >= HEADER_BYTES as u64 && images.end <= length;
        if images_bytes > 0 && !inside {
            return damaged(&format!("its images are said to lie at {images:?} of {length} bytes"));
        }
        Ok(Self { kind, length, images: if images_bytes > 0 { images } else { 0..0 }, content_checksum: u32_at(48) })
    }

    /// Verifies the checksum of everything except the header and the images.
    pub fn check_content(&self, path: &Path, file: &[u8]) -> Result<()> {
        let found = checksum_of_content(file, &self.images);
        if found != self.content_checksum {
            let what = "the header and tables".into();
            return Err(Error::Checksum { path: path.into(), what, expected: self.content_checksum, found });
        }
        Ok(())
    }
}

/// CRC-32C of the bytes after the header and outside `images`.
pub(crate) fn checksum_of_content(file: &[u8], images: &Range<u64>) -> u32 {
    if images.is_empty() {
        return crc32c::crc32c(&file[HEADER_BYTES..]);
    }
    let head = crc32c::crc32c(&file[HEADER_BYTES..images.start as usize]);
    crc32c::crc32c_append(head, &file[images.end as usize..])
}

/// Encoding of the stored images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// Raw pixels, `size * size * 3` bytes per image.
    Raw,
    /// JPEG.
    Jpeg {
        /// JPEG quality, 1 to 100.
        quality: u8,
    },
}

impl Storage {
    /// JPEG of quality 95: about a tenth of the bytes, visually lossless.
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
