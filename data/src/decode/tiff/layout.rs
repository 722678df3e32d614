//! Layout of the samples of a TIFF, from its directory.

use image::metadata::Orientation;

use super::directory::Directory;
use super::photometric::{DEFAULT_LUMA, DEFAULT_RANGE, Photometric, YCbCr};
use crate::decode::{DecodeOptions, check_size};
use crate::error::BadImage;

/// Maximum number of samples per pixel: images with more are measurements, not colours.
const MAX_SAMPLES: usize = 8;

/// Tag numbers.
mod tag {
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const COLOUR: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_LENGTHS: u16 = 279;
    pub const PLANAR: u16 = 284;
    pub const PREDICTOR: u16 = 317;
    pub const PALETTE: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_LENGTHS: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const JPEG_TABLES: u16 = 347;
    pub const YCBCR_COEFFICIENTS: u16 = 529;
    pub const YCBCR_SUBSAMPLING: u16 = 530;
    pub const REFERENCE_BLACK_WHITE: u16 = 532;
}

/// Storage of a TIFF's samples.
pub(super) struct TiffLayout {
    pub width: usize,
    pub height: usize,
    pub photometric: Photometric,
    /// Bits per sample: 1, 2, 4, 8 or 16.
    pub bits: usize,
    pub big_endian: bool,
    /// Samples per pixel.
    pub samples: usize,
    /// Colours are premultiplied by the sample after them (alpha).
    pub is_premultiplied: bool,
    /// Each sample of a pixel is stored in a separate plane.
    pub is_planar: bool,
    pub compression: Compression,
    /// Rows hold differences of neighbouring samples (horizontal predictor).
    pub has_predictor: bool,
    /// The lowest bit of a byte comes first.
    pub is_lsb_first: bool,
    /// Size of strips or tiles in pixels; the last strip may be shorter.
    pub chunk_width: usize,
    pub chunk_height: usize,
    /// File offsets and lengths of strips or tiles in bytes.
    pub offsets: Vec<u64>,
    pub counts: Vec<u64>,
    pub orientation: Orientation,
    /// Whether three components of a JPEG are YCbCr, regardless of its own markers.
    pub jpeg_is_ycbcr: bool,
}

pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    Fax4,
    Jpeg { tables: Vec<u8> },
}

impl TiffLayout {
    pub fn read(bytes: &[u8], options: &DecodeOptions) -> Result<Self, BadImage> {
        let tags = Directory::read(bytes)?;
        let width = tags.number(tag::WIDTH, 0)?;
        let height = tags.number(tag::HEIGHT, 0)?;
        check_size(width, height, options.max_pixels)?;
        let width = width as usize;
        let height = height as usize;
        let samples = usize::try_from(tags.number(tag::SAMPLES, 1)?).unwrap_or(usize::MAX);
        let bits = tags.number(tag::BITS, 1)? as usize;
        let compression = compression(&tags)?;
        let photometric = photometric(&tags, bits, &compression)?;
        check_samples(&tags, &photometric, samples, bits)?;
        let Chunks { width: chunk_width, height: chunk_height, offsets, counts } = chunks(&tags, width, height)?;
        let layout = Self {
            width,
            height,
            bits,
            big_endian: tags.big_endian,
            samples,
            is_premultiplied: tags.number(tag::EXTRA_SAMPLES, 0)? == 1 && samples > photometric.channels(),
            is_planar: tags.number(tag::PLANAR, 1)? == 2 && samples > 1,
            has_predictor: has_predictor(&tags, &compression)?,
            is_lsb_first: tags.number(tag::FILL_ORDER, 1)? == 2,
            chunk_width,
            chunk_height,
            offsets,
            counts,
            orientation: orientation(&tags)?,
            jpeg_is_ycbcr: tags.number(tag::COLOUR, 0)? == 6,
            photometric,
            compression,
        };
        layout.check_subsampling()?;
        super::check_chunk(&layout, options)?;
        Ok(layout)
    }

    /// Number of strips or tiles across.
    pub fn chunks_across(&self) -> usize {
        self.width.div_ceil(self.chunk_width)
    }

    /// Number of strips or tiles down.
    pub fn chunks_down(&self) -> usize {
        self.height.div_ceil(self.chunk_height)
    }

    /// Number of samples of a pixel its colour depends on.
    pub fn used_samples(&self) -> usize {
        self.photometric.channels() + usize::from(self.is_premultiplied)
    }

    /// Number of samples of a pixel stored contiguously.
    pub fn interleaved_samples(&self) -> usize {
        if self.is_planar { 1 } else { self.samples }
    }

    /// Size of a row of a chunk in bytes.
    pub fn row_bytes(&self) -> usize {
        (self.chunk_width * self.interleaved_samples() * self.bits).div_ceil(8)
    }

    /// Size of `rows` rows of a chunk in bytes.
    pub fn bytes_of_rows(&self, rows: usize) -> usize {
        match &self.photometric {
            Photometric::YCbCr(photometric) if photometric.is_subsampled() => photometric.bytes(self.chunk_width, rows),
            _ => self.row_bytes() * rows,
        }
    }

    fn check_subsampling(&self) -> Result<(), BadImage> {
        match &self.photometric {
            Photometric::YCbCr(photometric)
                if photometric.is_subsampled() && (self.is_planar || self.samples != 3 || self.has_predictor) =>
            {
                unsupported("YCbCr of half resolution in planes, with further samples or with differences")
            }
            _ => Ok(()),
        }
    }
}

fn unsupported<T>(what: impl std::fmt::Display) -> Result<T, BadImage> {
    Err(BadImage::Unsupported(format!("TIFF with {what}")))
}

/// Strips or tiles.
struct Chunks {
    width: usize,
    height: usize,
    offsets: Vec<u64>,
    counts: Vec<u64>,
}

fn chunks(tags: &Directory, width: usize, height: usize) -> Result<Chunks, BadImage> {
    let tiled = tags.has(tag::TILE_WIDTH);
    let [chunk_width, chunk_height] = if tiled {
        [tags.number(tag::TILE_WIDTH, 0)?, tags.number(tag::TILE_HEIGHT, 0)?]
    } else {
        [width as u64, tags.number(tag::ROWS_PER_STRIP, height as u64)?.min(height as u64)]
    };
    if chunk_width == 0 || chunk_height == 0 {
        return Err(BadImage::Damaged(format!("TIFF with strips or tiles of {chunk_width} x {chunk_height} pixels")));
    }
    // Some programs wrote tiles with the tags of strips.
    let (offsets, counts) = if tags.has(tag::TILE_OFFSETS) {
        (tag::TILE_OFFSETS, tag::TILE_LENGTHS)
    } else {
        (tag::STRIP_OFFSETS, tag::STRIP_LENGTHS)
    };
    let [width, height] = [chunk_width, chunk_height].map(|side| usize::try_from(side).unwrap_or(usize::MAX));
    Ok(Chunks { width, height, offsets: tags.numbers(offsets)?, counts: tags.numbers(counts)? })
}

fn compression(tags: &Directory) -> Result<Compression, BadImage> {
    let name = match tags.number(tag::COMPRESSION, 1)? {
        1 => return Ok(Compression::None),
        5 => return Ok(Compression::Lzw),
        8 | 32946 => return Ok(Compression::Deflate),
        32773 => return Ok(Compression::PackBits),
        4 => return Ok(Compression::Fax4),
        7 => {
            let tables = tags.numbers(tag::JPEG_TABLES)?;
            return Ok(Compression::Jpeg { tables: tables.into_iter().map(|byte| byte as u8).collect() });
        }
        2 => "fax compression of modified Huffman codes".to_string(),
        3 => "fax compression of group 3".into(),
        6 => "JPEG of the old kind (compression 6)".into(),
        34925 => "LZMA compression".into(),
        50000 => "Zstandard compression".into(),
        50001 => "WebP compression".into(),
        other => format!("compression {other}"),
    };
    unsupported(name)
}

fn photometric(tags: &Directory, bits: usize, compression: &Compression) -> Result<Photometric, BadImage> {
    Ok(match tags.number(tag::COLOUR, 0)? {
        0 => Photometric::Grey { inverted: true },
        1 => Photometric::Grey { inverted: false },
        2 => Photometric::Rgb,
        3 if bits <= 8 => Photometric::palette(&tags.numbers(tag::PALETTE)?, 1 << bits)?,
        3 => return unsupported(format!("a palette of {bits} bits")),
        5 => Photometric::Cmyk,
        // The JPEG decoder converts it to RGB.
        6 if matches!(compression, Compression::Jpeg { .. }) => Photometric::Rgb,
        6 => Photometric::YCbCr(Box::new(ycbcr(tags)?)),
        4 => return unsupported("a transparency mask as its first image"),
        8..=10 => return unsupported("CIE L*a*b* colours"),
        other => return unsupported(format!("colours of kind {other}")),
    })
}

/// YCbCr parameters; the defaults are those of TIFF 6.0 (section 21).
fn ycbcr(tags: &Directory) -> Result<YCbCr, BadImage> {
    let subsampling = tags.numbers(tag::YCBCR_SUBSAMPLING)?;
    let factor = |i: usize| subsampling.get(i).map_or(2, |&v| v as usize);
    let luma = tags.fractions(tag::YCBCR_COEFFICIENTS)?.try_into().unwrap_or(DEFAULT_LUMA);
    let range = tags.fractions(tag::REFERENCE_BLACK_WHITE)?.try_into().unwrap_or(DEFAULT_RANGE);
    YCbCr::new([factor(0), factor(1)], luma, range)
}

fn check_samples(tags: &Directory, photometric: &Photometric, samples: usize, bits: usize) -> Result<(), BadImage> {
    let channels = photometric.channels();
    if samples < channels {
        return Err(BadImage::Damaged(format!("{samples} samples a pixel, its colours need {channels}")));
    }
    if samples > MAX_SAMPLES {
        return unsupported(format!("{samples} samples a pixel, at most {MAX_SAMPLES} are read"));
    }
    if tags.numbers(tag::BITS)?.iter().take(samples).any(|&other| other != bits as u64) {
        return unsupported("samples of different depths");
    }
    match tags.numbers(tag::SAMPLE_FORMAT)?.first() {
        None | Some(1 | 4) => {}
        Some(2) => return unsupported(format!("signed samples of {bits} bits")),
        Some(3) => return unsupported(format!("floating-point samples of {bits} bits")),
        Some(other) => return unsupported(format!("samples of format {other}")),
    }
    let is_supported = match photometric {
        Photometric::YCbCr(_) => bits == 8,
        _ => matches!(bits, 1 | 2 | 4 | 8 | 16),
    };
    if is_supported { Ok(()) } else { unsupported(format!("samples of {bits} bits")) }
}

/// Only these compressions support a predictor.
fn has_predictor(tags: &Directory, compression: &Compression) -> Result<bool, BadImage> {
    let predictor = tags.number(tag::PREDICTOR, 1)?;
    match compression {
        Compression::Lzw | Compression::Deflate if predictor > 2 => unsupported("a floating-point predictor"),
        Compression::Lzw | Compression::Deflate => Ok(predictor == 2),
        _ => Ok(false),
    }
}

fn orientation(tags: &Directory) -> Result<Orientation, BadImage> {
    let stored = u8::try_from(tags.number(tag::ORIENTATION, 1)?).ok();
    Ok(stored.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms))
}
