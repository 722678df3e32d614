//! JPEGs, and no more of them than is asked for: sequential and progressive ones of 8 bits with Huffman codes, in any
//! number of scans, with components of any sampling that libjpeg reads, in all its colours. What is not read is refused with
//! the reason: arithmetic coding (in which half an image cannot be told from a whole one: what lacks counts as zeros), lossless
//! and hierarchical JPEG, other depths.
//!
//! The inverse transform, the interpolation of colours and the colours are those of libjpeg's defaults (`jidctint`,
//! `jdsample`, `jdcolor`), in whole numbers: the same bits on all processors, and libjpeg-turbo's. So is what may stand in
//! a file: bytes between segments, short markers and the like are passed over as there. But half an image is an error here:
//! a scan must have all its codes, and the scans all coefficients.
//!
//! Of a sequential JPEG only those blocks are transformed that the region shows, straight from the codes ([`sequential`]);
//! a progressive one is read as a whole into memory first ([`progressive`]). Whatever the bytes, they do no harm: everything
//! is bounded by the limits.

mod bits;
mod colour;
mod frame;
mod header;
mod huffman;
mod idct;
mod planes;
mod progressive;
mod scan;
mod segments;
mod sequential;
mod standard;
mod tables;
mod upsample;

use std::cell::RefCell;
use std::ops::Range;

use colour::Colour;
use frame::{COMPONENTS, Frame};
use header::Header;
use planes::Planes;
use scan::{Progress, Scan};

use crate::decode::check_size;
use crate::error::BadImage;

/// The side of a block.
const BLOCK: usize = 8;
/// Where the k-th coefficient of a block stands.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// What is wrong with the data of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The scan ends before its last code.
    CutShort,
    /// Bits that are no code, or that lead beyond their block.
    Code,
    /// A restart's number is not the next one.
    Restart,
    /// A Huffman table that is no tree of codes.
    Table,
    /// A Huffman table that was not defined.
    NoTable,
}

impl From<Fault> for BadImage {
    fn from(fault: Fault) -> Self {
        let damaged = |what: &str| Self::Damaged(what.into());
        match fault {
            Fault::CutShort => Self::CutShort("its data ends before its last pixel".into()),
            Fault::Code => damaged("a Huffman code that is none, or leads beyond its block"),
            Fault::Restart => damaged("a restart marker is missing or out of order"),
            Fault::Table => damaged("a Huffman table that is no tree of codes"),
            Fault::NoTable => damaged("a Huffman table is missing"),
        }
    }
}

/// The part of an image to decode.
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
    /// All of it: every code must be one.
    Whole,
}

/// The most scans of a file that packs keep as it is.
const PLAIN_SCANS: usize = 100;

/// What a file may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub pixels: u64,
    pub scans: usize,
}

thread_local! {
    static PLANES: RefCell<Planes> = RefCell::default();
}

/// A JPEG whose headers were read.
#[derive(Debug)]
pub(crate) struct Jpeg<'a> {
    frame: Frame,
    colour: Colour,
    scans: Vec<Scan<'a>>,
    /// By component.
    quantisers: [[i16; 64]; COMPONENTS],
    data: &'a [u8],
    header: Header<'a>,
}

impl<'a> Jpeg<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// What is wrong with them, or what they ask for beyond the limits.
    pub fn new(data: &'a [u8], limits: &Limits) -> Result<Self, BadImage> {
        let mut header = Header::new(data)?;
        let first = header.next_scan();
        // Before anything else that may be wrong.
        if let Some(frame) = &header.frame {
            check_size(frame.width as u64, frame.height as u64, limits.pixels)?;
        }
        let first = first?;
        let colour = header.colour()?;
        let first = first.ok_or_else(|| BadImage::CutShort("it ends before the first scan".into()))?;
        let scans = all_scans(&mut header, first, limits.scans)?;
        let frame = header.frame.take().ok_or_else(Header::without_frame)?;
        let quantisers = header.quantisers.map(|quantiser| quantiser.unwrap_or([0; 64]));
        Ok(Self { frame, colour, scans, quantisers, data, header })
    }

    pub fn width(&self) -> usize {
        self.frame.width
    }

    pub fn height(&self) -> usize {
        self.frame.height
    }

    /// The EXIF data, which may say that the image is to be turned.
    pub fn exif(&self) -> Option<&'a [u8]> {
        self.header.exif
    }

    /// The file without what follows its end marker, if any decoder would take it as it is: grey or YCbCr, with an end marker
    /// and nothing that belongs to no segment.
    pub fn plain_file(mut self) -> Option<&'a [u8]> {
        let is_plain = matches!(self.colour, Colour::Grey | Colour::YCbCr) && self.scans.len() <= PLAIN_SCANS;
        let segments = &mut self.header.segments;
        if segments.end.is_none() {
            segments.skip_scan();
            segments.next().ok()?;
        }
        self.data.get(..segments.end?).filter(|_| is_plain && !segments.has_strays)
    }

    /// Decodes a part of the image into `out`, whose first byte is that part's first, `stride` bytes a row.
    ///
    /// # Errors
    /// What is wrong with the data.
    ///
    /// # Panics
    /// If the region is beyond the image, or `out` too short for it.
    pub fn decode(&self, region: &Region, reading: Reading, out: &mut [u8], stride: usize) -> Result<(), BadImage> {
        assert!(region.rows.end <= self.height() && region.columns.end <= self.width(), "a region beyond the image");
        PLANES.with_borrow_mut(|planes| {
            let decoded = if self.frame.is_progressive {
                progressive::decode(self, region, planes, out, stride)
            } else {
                sequential::decode(self, region, reading, planes, out, stride)
            };
            planes.shrink();
            Ok(decoded?)
        })
    }
}

/// The first scan and those that follow, complete; of a sequential JPEG nothing is read behind a scan of all components,
/// as libjpeg does.
fn all_scans<'a>(header: &mut Header<'a>, first: Scan<'a>, limit: usize) -> Result<Vec<Scan<'a>>, BadImage> {
    let mut progress = Progress::new();
    let mut count = 1;
    progress.add(&first, header.frame()?)?;
    let is_alone = !header.frame()?.is_progressive && first.parts.len() == header.frame()?.components.len();
    let mut scans = vec![first];
    if !is_alone {
        header.segments.skip_scan();
        while let Some(scan) = header.next_scan()? {
            header.segments.skip_scan();
            count += 1;
            progress.add(&scan, header.frame()?)?;
            if count <= limit {
                scans.push(scan);
            }
        }
    }
    if count > limit {
        return Err(BadImage::TooManyScans { scans: count, limit });
    }
    progress.check_complete(header.frame()?)?;
    Ok(scans)
}

/// Decodes part of an image of `size` x `size` into its place in `out` `[size, size, 3]`. The rest of `out` is left.
///
/// # Errors
/// What is wrong with the data, or that its size is another one.
pub(crate) fn decode_part(data: &[u8], size: usize, region: &Region, out: &mut [u8]) -> Result<(), BadImage> {
    let limits = Limits { pixels: u64::MAX, scans: PLAIN_SCANS };
    let jpeg = Jpeg::new(data, &limits)?;
    if jpeg.width() != size || jpeg.height() != size || out.len() != size * size * 3 {
        let found = format!("{} x {} pixels, expected {size} x {size}", jpeg.width(), jpeg.height());
        return Err(BadImage::Damaged(found));
    }
    if region.rows.is_empty() || region.columns.is_empty() {
        return Ok(());
    }
    let start = 3 * (region.rows.start * size + region.columns.start);
    jpeg.decode(region, Reading::Shown, &mut out[start..], 3 * size)
}

#[cfg(test)]
mod tests;
