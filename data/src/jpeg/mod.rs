//! Baseline JPEGs, and no more of them than is asked for: the decoder of most photographs.
//!
//! It knows grey pictures and YCbCr with colours of the full resolution or of half of it, across, down or both. Anything
//! else (progressive, arithmetic, 12 bits, CMYK, RGB), and anything that is wrong with a file, is left to the decoder of
//! [`crate::picture`], which says what it is. So whatever the bytes, they do no harm here: everything is bounded.
//!
//! Only blocks that the region shows are transformed, and only its pixels get colours. The inverse transform, the
//! interpolation of colours and the colours are those of libjpeg's defaults (`jidctint`, `jdsample`, `jdcolor`), in whole
//! numbers: the same bits on all processors, and libjpeg-turbo's.

mod colour;
mod header;
mod huffman;
mod idct;
mod planes;
mod upsample;

use std::cell::RefCell;
use std::ops::Range;

use header::Header;
use planes::Planes;

/// The side of a block.
const BLOCK: usize = 8;
/// Where the k-th coefficient of a block stands.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Why a JPEG was not decoded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Of a kind, or damaged in a way, that is left to the other decoder, which says what is wrong.
    Other,
}

/// The part of a picture to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// How much of the file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Up to the region's last row: for files that were read as a whole before, and have a checksum.
    Shown,
    /// All of it: every code must be one, and the data end with the last of them.
    Whole,
}

thread_local! {
    static PLANES: RefCell<Planes> = RefCell::default();
}

/// A JPEG whose header was read.
#[derive(Debug)]
pub(crate) struct Jpeg<'a> {
    data: &'a [u8],
    header: Header,
}

impl<'a> Jpeg<'a> {
    /// Reads the header. A file that is not decoded here may fail now or later.
    pub fn new(data: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self { data, header: Header::parse(data)? })
    }

    pub fn width(&self) -> usize {
        self.header.width
    }

    pub fn height(&self) -> usize {
        self.header.height
    }

    /// Whether there is EXIF data, which may say that the picture is to be turned.
    pub fn has_exif(&self) -> bool {
        self.header.has_exif
    }

    /// Decodes a part of the picture into `out`, whose first byte is that part's first, `stride` bytes a row.
    ///
    /// # Panics
    /// If `out` is too short for the region.
    pub fn decode(&self, region: &Region, reading: Reading, out: &mut [u8], stride: usize) -> Result<(), Failure> {
        if region.rows.end > self.height() || region.columns.end > self.width() {
            return Err(Failure::Other);
        }
        PLANES.with_borrow_mut(|planes| {
            planes.decode(self.data, &self.header, region, reading)?;
            if !region.rows.is_empty() && !region.columns.is_empty() {
                planes.write_rgb(region, out, stride);
            }
            planes.shrink();
            Ok(())
        })
    }
}

/// Decodes part of a picture of `size` x `size` into its place in `out` `[size, size, 3]`. The rest of `out` is left.
pub(crate) fn decode_part(data: &[u8], size: usize, region: &Region, out: &mut [u8]) -> Result<(), Failure> {
    let jpeg = Jpeg::new(data)?;
    if jpeg.width() != size || jpeg.height() != size || out.len() != size * size * 3 {
        return Err(Failure::Other);
    }
    if region.rows.is_empty() || region.columns.is_empty() {
        return Ok(());
    }
    let start = (3 * (region.rows.start * size + region.columns.start)).min(out.len());
    jpeg.decode(region, Reading::Shown, &mut out[start..], 3 * size)
}

#[cfg(test)]
mod tests;
