//! One image, from its file to what the pack stores.

use std::io::{self, ErrorKind};
use std::thread::sleep;
use std::time::Duration;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::options::PackOptions;
use crate::decode::{Image, decode_square, keepable_jpeg, resize_and_crop};
use crate::error::{BadImage, Error, Result};
use crate::format::Storage;
use crate::source::{Content, Source};
use crate::statistics::products;

/// An image ready to be stored.
pub(super) struct Encoded {
    /// What the shard holds: pixels, or a JPEG of them.
    pub stored: Vec<u8>,
    pub checksum: u32,
    /// The pixels if `stored` holds something else.
    pixels: Option<Vec<u8>>,
    pub products: [u64; 6],
}

impl Encoded {
    /// The square's pixels, before any encoding.
    pub fn pixels(&self) -> &[u8] {
        self.pixels.as_deref().unwrap_or(&self.stored)
    }
}

/// How long to wait before an image that the system could not read is tried again.
const WAITS: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(200), Duration::from_millis(1000)];

/// Image `index` as it is stored, or why it cannot be used.
///
/// # Errors
/// [`Error::Unreadable`] where the system cannot read it, which says nothing of the image.
pub(super) fn encode(source: &Source, index: usize, options: &PackOptions) -> Result<Result<Encoded, BadImage>> {
    match decode_and_encode(source, index, options) {
        Err(BadImage::Unreadable(error)) => {
            let name = String::from_utf8_lossy(source.catalogue().name(index)).into_owned();
            Err(Error::Unreadable { path: options.source.clone(), name, source: error })
        }
        result => Ok(result),
    }
}

/// Reads an image; what may pass is tried again.
fn read(source: &Source, index: usize) -> Result<Content, BadImage> {
    for wait in WAITS {
        match source.read(index) {
            Err(BadImage::Unreadable(error)) if may_pass(&error) => sleep(wait),
            result => return result,
        }
    }
    source.read(index)
}

/// Whether a later try may succeed with nothing mended: the disk's and the network's errors.
fn may_pass(error: &io::Error) -> bool {
    use ErrorKind::*;
    !matches!(
        error.kind(),
        NotFound | PermissionDenied | UnexpectedEof | InvalidInput | InvalidData | IsADirectory | NotADirectory | Other
    )
}

fn decode_and_encode(source: &Source, index: usize, options: &PackOptions) -> Result<Encoded, BadImage> {
    let (image, original) = match read(source, index)? {
        Content::File(bytes) => {
            let original = original(&bytes, options);
            (decode_square(bytes, options.size, &options.decode)?, original)
        }
        Content::Pixels(image) => (square(image, options.size)?, None),
    };
    let pixels = image.into_pixels();
    let products = products(&pixels);
    let (stored, pixels) = match options.storage {
        Storage::Raw => (pixels, None),
        Storage::Jpeg { quality } => match original {
            Some(original) => (original, Some(pixels)),
            None => (to_jpeg(&pixels, options.size, quality)?, Some(pixels)),
        },
    };
    Ok(Encoded { checksum: crc32c::crc32c(&stored), stored, pixels, products })
}

/// The file itself, where it is a JPEG of the right size that needs no other change: encoding again would only lose.
fn original(bytes: &[u8], options: &PackOptions) -> Option<Vec<u8>> {
    match options.storage {
        Storage::Raw => None,
        Storage::Jpeg { .. } => keepable_jpeg(bytes, options.size, &options.decode).map(<[u8]>::to_vec),
    }
}

fn square(image: Image, size: usize) -> Result<Image, BadImage> {
    if image.width() == size && image.height() == size {
        return Ok(image);
    }
    resize_and_crop(&image, size).map_err(|e| BadImage::Damaged(e.to_string()))
}

/// With colours of the full resolution, as the loader reads them fastest.
fn to_jpeg(pixels: &[u8], size: usize, quality: u8) -> Result<Vec<u8>, BadImage> {
    let mut bytes = Vec::with_capacity(pixels.len() / 4);
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    // At most 4096.
    let side = size as u16;
    encoder
        .encode(pixels, side, side, ColorType::Rgb)
        .map_err(|e| BadImage::Damaged(format!("cannot be encoded as JPEG: {e}")))?;
    Ok(bytes)
}
