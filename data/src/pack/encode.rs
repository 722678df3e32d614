//! Encoding of one image for storage.

use std::io::{self, ErrorKind};
use std::thread::sleep;
use std::time::Duration;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::options::PackOptions;
use crate::dataset::ImageContent;
use crate::decode::{decode_square, storable_jpeg};
use crate::error::{BadImage, Error, Result};
use crate::format::Storage;
use crate::source::Source;
use crate::statistics::products;

/// An encoded image, ready to be stored.
pub(super) struct Encoded {
    /// The stored bytes: raw pixels, or a JPEG.
    pub stored: Vec<u8>,
    pub checksum: u32,
    /// The pixels, unless `stored` holds them.
    pixels: Option<Vec<u8>>,
    pub colour_products: [u64; 6],
}

impl Encoded {
    /// The pixels before any JPEG encoding.
    pub fn pixels(&self) -> &[u8] {
        self.pixels.as_deref().unwrap_or(&self.stored)
    }
}

/// Delays before the retries of an image the system could not read.
const RETRY_DELAYS: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_millis(1000)];

/// Decodes and encodes image `index`, or returns the reason for its rejection.
///
/// # Errors
/// [`Error::Unreadable`] if the system cannot read the image, which is no fault of the image.
pub(super) fn encode(source: &Source, index: usize, options: &PackOptions) -> Result<Result<Encoded, BadImage>> {
    match decode_and_encode(source, index, options) {
        Err(BadImage::Unreadable(error)) => {
            let name = String::from_utf8_lossy(source.samples().name(index)).into_owned();
            Err(Error::Unreadable { path: options.source.clone(), name, source: error })
        }
        result => Ok(result),
    }
}

/// Reads an image, retrying transient errors.
fn read(source: &Source, index: usize) -> Result<ImageContent, BadImage> {
    for delay in RETRY_DELAYS {
        match source.read(index) {
            Err(BadImage::Unreadable(error)) if is_transient(&error) => sleep(delay),
            result => return result,
        }
    }
    source.read(index)
}

/// Whether a retry may succeed without intervention: errors of disks and networks.
fn is_transient(error: &io::Error) -> bool {
    use ErrorKind::*;
    !matches!(
        error.kind(),
        NotFound | PermissionDenied | UnexpectedEof | InvalidInput | InvalidData | IsADirectory | NotADirectory | Other
    )
}

fn decode_and_encode(source: &Source, index: usize, options: &PackOptions) -> Result<Encoded, BadImage> {
    encode_content(read(source, index)?, options)
}

/// Decodes, crops and encodes an image.
pub(super) fn encode_content(content: ImageContent, options: &PackOptions) -> Result<Encoded, BadImage> {
    let (image, storable_original) = match content {
        ImageContent::Encoded(bytes) => {
            let storable_original = storable_original(&bytes, options);
            (decode_square(bytes, options.size, &options.decode)?, storable_original)
        }
        ImageContent::Pixels(_) => (content.into_square(options.size, &options.decode)?, None),
    };
    let pixels = image.into_pixels();
    let colour_products = products(&pixels);
    let (stored, pixels) = match options.storage {
        Storage::Raw => (pixels, None),
        Storage::Jpeg { quality } => match storable_original {
            Some(storable_original) => (storable_original, Some(pixels)),
            None => (to_jpeg(&pixels, options.size, quality)?, Some(pixels)),
        },
    };
    Ok(Encoded { checksum: crc32c::crc32c(&stored), stored, pixels, colour_products })
}

/// The source file, if it is a JPEG that can be stored as is: encoding again would lose quality.
fn storable_original(bytes: &[u8], options: &PackOptions) -> Option<Vec<u8>> {
    match options.storage {
        Storage::Raw => None,
        Storage::Jpeg { .. } => storable_jpeg(bytes, options.size, &options.decode).map(<[u8]>::to_vec),
    }
}

/// Without chroma subsampling, which the loader decodes fastest.
fn to_jpeg(pixels: &[u8], size: usize, quality: u8) -> Result<Vec<u8>, BadImage> {
    let mut bytes = Vec::with_capacity(pixels.len() / 4);
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    // At most 4096, so it fits.
    let side = size as u16;
    encoder
        .encode(pixels, side, side, ColorType::Rgb)
        .map_err(|e| BadImage::Damaged(format!("cannot be encoded as JPEG: {e}")))?;
    Ok(bytes)
}
