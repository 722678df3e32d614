//! JPEG decoder that can decode a region of an image: sequential and progressive JPEGs of 8 bits with Huffman coding,
//! in any number of scans, with any component sampling and colour space that libjpeg supports. Others are rejected with
//! the reason: arithmetic coding (where truncation cannot be detected, since missing data reads as zeros), lossless and
//! hierarchical JPEG, other depths.
//!
//! The inverse transform, chroma upsampling and colour conversion are libjpeg's defaults (`jidctint`, `jdsample`,
//! `jdcolor`) in integers: pixels are the same bits on all processors as libjpeg-turbo's. Deviations that libjpeg
//! tolerates, such as bytes between segments or short markers, are skipped likewise. But a truncated image is an error:
//! each scan must have all its codes, and the scans all coefficients.
//!
//! Of a sequential JPEG, only the blocks visible in the region are transformed, straight from the codes
//! ([`sequential`]); a progressive one is first read into memory as a whole ([`progressive`]). Memory and time are
//! bounded by the limits, whatever the bytes.

mod bit_reader;
mod coefficients;
mod colour;
mod default_tables;
mod frame;
mod header;
mod huffman;
mod idct;
mod planes;
mod progressive;
mod scan;
mod segments;
mod sequential;
mod tables;
mod upsample;

use std::cell::RefCell;
use std::ops::Range;

use colour::ColourSpace;
use frame::{COMPONENTS, Frame};
use header::HeaderReader;
use planes::Planes;
use scan::{Scan, ScanCoverage};

use crate::decode::check_size;
use crate::error::BadImage;

/// Side length of a block.
const BLOCK: usize = 8;
/// Position in the block of the k-th coefficient in zigzag order.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Error in the data of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScanError {
    /// The scan ends before its last code.
    CutShort,
    /// An invalid Huffman code, or one that leads beyond its block.
    InvalidCode,
    /// A restart marker is missing or out of order.
    Restart,
    /// A Huffman table is not a code tree.
    InvalidTable,
    /// A Huffman table was not defined.
    MissingTable,
}

impl From<ScanError> for BadImage {
    fn from(error: ScanError) -> Self {
        let damaged = |what: &str| Self::Damaged(what.into());
        match error {
            ScanError::CutShort => Self::CutShort("its data ends before its last pixel".into()),
            ScanError::InvalidCode => damaged("a Huffman code that is none, or leads beyond its block"),
            ScanError::Restart => damaged("a restart marker is missing or out of order"),
            ScanError::InvalidTable => damaged("a Huffman table that is no tree of codes"),
            ScanError::MissingTable => damaged("a Huffman table is missing"),
        }
    }
}

/// Region of an image to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// Extent of the file to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadExtent {
    /// Up to the region's last row: for files that were validated before and have a checksum.
    UntilRegionEnd,
    /// The whole file: every code must be valid.
    WholeFile,
}

/// Maximum number of scans of a file that packs store as is.
const MAX_STORED_SCANS: usize = 100;

/// Limits on a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub pixels: u64,
    pub scans: usize,
}

thread_local! {
    static PLANES: RefCell<Planes> = RefCell::default();
}

/// A JPEG with parsed headers.
#[derive(Debug)]
pub(crate) struct Jpeg<'a> {
    frame: Frame,
    colour: ColourSpace,
    scans: Vec<Scan<'a>>,
    /// Quantization table of each component.
    quantizers: [[i16; 64]; COMPONENTS],
    data: &'a [u8],
    header: HeaderReader<'a>,
}

impl<'a> Jpeg<'a> {
    /// Parses the headers.
    ///
    /// # Errors
    /// The reason why the file is rejected.
    pub fn new(data: &'a [u8], limits: &Limits) -> Result<Self, BadImage> {
        let mut header = HeaderReader::new(data)?;
        let first = header.next_scan();
        // Checked before anything else.
        if let Some(frame) = &header.frame {
            check_size(frame.width as u64, frame.height as u64, limits.pixels)?;
        }
        let first = first?;
        let colour = header.colour()?;
        let first = first.ok_or_else(|| BadImage::CutShort("it ends before the first scan".into()))?;
        let scans = all_scans(&mut header, first, limits.scans)?;
        let frame = header.frame.take().ok_or_else(HeaderReader::without_frame)?;
        let quantizers = header.quantizers.map(|quantizer| quantizer.unwrap_or([0; 64]));
        Ok(Self { frame, colour, scans, quantizers, data, header })
    }

    pub fn width(&self) -> usize {
        self.frame.width
    }

    pub fn height(&self) -> usize {
        self.frame.height
    }

    /// EXIF data, which may hold an orientation.
    pub fn exif(&self) -> Option<&'a [u8]> {
        self.header.exif
    }

    /// The file without trailing bytes, if any decoder supports it as is: grey or YCbCr, with an end marker and no
    /// bytes outside segments.
    pub fn storable_file(mut self) -> Option<&'a [u8]> {
        let is_plain =
            matches!(self.colour, ColourSpace::Grey | ColourSpace::YCbCr) && self.scans.len() <= MAX_STORED_SCANS;
        let segments = &mut self.header.segments;
        if segments.end.is_none() {
            segments.skip_scan();
            segments.next().ok()?;
        }
        self.data.get(..segments.end?).filter(|_| is_plain && !segments.has_strays)
    }

    /// Decodes a region of the image to `out` with the given row `stride` in bytes; the first byte of `out` is the
    /// first of the region.
    ///
    /// # Errors
    /// The reason why the data is rejected.
    ///
    /// # Panics
    /// If the region is beyond the image, or `out` is too short for it.
    pub fn decode(&self, region: &Region, extent: ReadExtent, out: &mut [u8], stride: usize) -> Result<(), BadImage> {
        assert!(region.rows.end <= self.height() && region.columns.end <= self.width(), "a region beyond the image");
        PLANES.with_borrow_mut(|planes| {
            let decoded = if self.frame.is_progressive {
                progressive::decode(self, region, planes, out, stride)
            } else {
                sequential::decode(self, region, extent, planes, out, stride)
            };
            planes.shrink();
            Ok(decoded?)
        })
    }
}

/// All scans of the file. Nothing is read after a sequential scan of all components, as in libjpeg.
fn all_scans<'a>(header: &mut HeaderReader<'a>, first: Scan<'a>, limit: usize) -> Result<Vec<Scan<'a>>, BadImage> {
    let mut coverage = ScanCoverage::new();
    let mut count = 1;
    coverage.add(&first, header.frame()?)?;
    let is_only_scan = !header.frame()?.is_progressive && first.components.len() == header.frame()?.components.len();
    let mut scans = vec![first];
    if !is_only_scan {
        header.segments.skip_scan();
        while let Some(scan) = header.next_scan()? {
            header.segments.skip_scan();
            count += 1;
            coverage.add(&scan, header.frame()?)?;
            if count <= limit {
                scans.push(scan);
            }
        }
    }
    if count > limit {
        return Err(BadImage::TooManyScans { scans: count, limit });
    }
    coverage.check_complete(header.frame()?)?;
    Ok(scans)
}

/// Decodes a region of an image of `size` x `size` to its position in `out`, `[size, size, 3]`. The rest of `out` is
/// unchanged.
///
/// # Errors
/// The reason why the data is rejected, or a mismatch of the size.
pub(crate) fn decode_region(data: &[u8], size: usize, region: &Region, out: &mut [u8]) -> Result<(), BadImage> {
    let limits = Limits { pixels: u64::MAX, scans: MAX_STORED_SCANS };
    let jpeg = Jpeg::new(data, &limits)?;
    if jpeg.width() != size || jpeg.height() != size || out.len() != size * size * 3 {
        let found = format!("{} x {} pixels, expected {size} x {size}", jpeg.width(), jpeg.height());
        return Err(BadImage::Damaged(found));
    }
    if region.rows.is_empty() || region.columns.is_empty() {
        return Ok(());
    }
    let start = 3 * (region.rows.start * size + region.columns.start);
    jpeg.decode(region, ReadExtent::UntilRegionEnd, &mut out[start..], 3 * size)
}

#[cfg(test)]
mod tests;
