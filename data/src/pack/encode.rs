//! One picture, from its file to what the pack stores.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::options::PackOptions;
use crate::error::BadPicture;
use crate::format::Storage;
use crate::picture::{decode_picture, resize_and_crop};
use crate::source::Source;
use crate::statistics::products;

/// A picture ready to be stored.
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

pub(super) fn encode(source: &impl Source, index: usize, options: &PackOptions) -> Result<Encoded, BadPicture> {
    let picture = decode_picture(source.read(index)?, &options.decode)?;
    let square = resize_and_crop(&picture, options.size).map_err(|e| BadPicture::Damaged(e.to_string()))?;
    let pixels = square.into_pixels();
    let products = products(&pixels);
    let (stored, pixels) = match options.storage {
        Storage::Raw => (pixels, None),
        Storage::Jpeg { quality } => (to_jpeg(&pixels, options.size, quality)?, Some(pixels)),
    };
    Ok(Encoded { checksum: crc32c::crc32c(&stored), stored, pixels, products })
}

fn to_jpeg(pixels: &[u8], size: usize, quality: u8) -> Result<Vec<u8>, BadPicture> {
    let mut bytes = Vec::with_capacity(pixels.len() / 4);
    let side = size as u32;
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(pixels, side, side, ExtendedColorType::Rgb8)
        .map_err(|e| BadPicture::Damaged(format!("cannot be encoded as JPEG: {e}")))?;
    Ok(bytes)
}
