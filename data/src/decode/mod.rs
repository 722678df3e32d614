//! Reading images: any file in, 8-bit RGB pixels out, or a reason why not.
//! See [`Image`] for the rules.

mod bmp;
mod gif;
mod guard;
mod jpeg;
mod kind;
mod orientation;
mod other;
mod png;
mod resize;
mod tiff;
mod webp;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{BadImage, Error, Result};
use image::metadata::Orientation;
use kind::Kind;

pub(crate) use guard::message as panic_message;
pub(crate) use jpeg::keepable as keepable_jpeg;
pub use resize::resize_and_crop;
pub(crate) use resize::{check as check_square, resize};

/// Larger files are refused unread: none of 64 megapixels needs so much.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 30;

/// An image in memory: 8-bit RGB, rows from the top.
///
/// Rules, the same for every format:
/// - The content decides the type, never the name.
/// - The header's size is checked before anything is allocated; a zero size or too many pixels is refused.
/// - Half an image is an error: a file that ends before its last pixel is refused. A JPEG that lacks nothing but its
///   end marker has all pixels, and is accepted. So is anything after the end.
/// - Grey is copied to three channels, palettes are expanded, alpha is dropped (as Pillow's `convert("RGB")` does), of
///   16 bits the high byte is kept. Colours that a TIFF stores multiplied by alpha are divided by it.
/// - An animation gives its first frame on its canvas, which shows what Pillow shows there: the transparent colour of a
///   GIF or the first of its palette, black in a WebP.
/// - CMYK: `R = (255 - C)(255 - K) / 255`. In JPEGs the values are stored inverted, as Adobe's programs do, and are turned
///   back first: with Adobe's marker or without it, as browsers and Pillow do.
/// - Colour profiles are ignored. So is the EXIF orientation, as in 2012, unless [`DecodeOptions`] asks for it. A TIFF's
///   own orientation says how its rows lie in the file, and is followed always.
/// - A panic of a decoder is caught and refuses the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Image {
    /// An image of `width` x `height` from its bytes, three a pixel; `None` if their number does not fit or is zero.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Option<Self> {
        let expected = width.checked_mul(height)?.checked_mul(3)?;
        (expected > 0 && expected == pixels.len()).then_some(Self { width, height, pixels })
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `height * width * 3` bytes: R, G, B of each pixel, rows from the top.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The bytes of [`Image::pixels`], without a copy.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

/// What is accepted and how it is turned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The most pixels a header may claim.
    pub max_pixels: u64,
    /// The most scans a JPEG may have.
    pub max_scans: usize,
    /// Turn the image as its EXIF orientation says. The paper's data was made without.
    pub apply_orientation: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_pixels: 64_000_000, max_scans: 100, apply_orientation: false }
    }
}

/// Reads an image from a file.
///
/// # Errors
/// [`Error::Image`] that names the file and says why.
pub fn read_image(path: &Path, options: &DecodeOptions) -> Result<Image> {
    read_bytes(path)
        .and_then(|bytes| decode_image(bytes, options))
        .map_err(|reason| Error::Image { path: path.to_path_buf(), reason })
}

/// Reads an image from the bytes of a file.
///
/// # Errors
/// The reason why it is refused.
pub fn decode_image(bytes: Vec<u8>, options: &DecodeOptions) -> Result<Image, BadImage> {
    let (image, orientation) = match kind::of(&bytes)? {
        Kind::Jpeg => jpeg::decode(&bytes, options)?,
        Kind::Gif => (gif::decode(&bytes, options)?, Orientation::NoTransforms),
        Kind::Tiff => tiff::decode(&bytes, options)?,
        Kind::Other(format) => other::decode(&bytes, format, options)?,
    };
    match orientation {
        Orientation::NoTransforms => Ok(image),
        turned => turn(image, turned),
    }
}

/// Reads an image from the bytes of a file and makes a square of it, as [`resize_and_crop`] does of a whole one. An image
/// that is `size` x `size` already stays as it is. Of sequential JPEGs no pixel is computed that the square does not need, but
/// all of the file is read and checked.
///
/// # Errors
/// The reason why it is refused.
pub fn decode_square(bytes: Vec<u8>, size: usize, options: &DecodeOptions) -> Result<Image, BadImage> {
    let damaged = |e: Error| BadImage::Damaged(e.to_string());
    check_square(size).map_err(damaged)?;
    if matches!(kind::of(&bytes)?, Kind::Jpeg)
        && let Some(square) = jpeg::decode_square(&bytes, size, options)?
    {
        return Ok(square);
    }
    let image = decode_image(bytes, options)?;
    if image.width() == size && image.height() == size {
        return Ok(image);
    }
    resize_and_crop(&image, size).map_err(damaged)
}

/// Reads an image and makes a square of it: the shorter side resized to `size`, the centre kept (paper, section 2).
/// Returns `size * size * 3` bytes.
///
/// # Errors
/// [`Error::Image`] that names the file, [`Error::Option`] for a size of zero.
pub fn read_square(path: &Path, size: usize) -> Result<Vec<u8>> {
    read_square_with(path, size, &DecodeOptions::default())
}

/// [`read_square`], with a choice of what is accepted and whether the image is turned.
///
/// # Errors
/// As [`read_square`].
pub fn read_square_with(path: &Path, size: usize, options: &DecodeOptions) -> Result<Vec<u8>> {
    check_square(size)?;
    let square = read_bytes(path).and_then(|bytes| decode_square(bytes, size, options));
    let square = square.map_err(|reason| Error::Image { path: path.to_path_buf(), reason })?;
    Ok(square.into_pixels())
}

/// The content of a regular file of bounded length.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, BadImage> {
    // A named pipe would block for ever when opened, so look first.
    let metadata = std::fs::metadata(path).map_err(BadImage::Unreadable)?;
    if !metadata.is_file() {
        return Err(BadImage::NotAnImage("not a regular file".into()));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(BadImage::NotAnImage(format!("{} bytes, at most {MAX_FILE_BYTES} are read", metadata.len())));
    }
    let file = File::open(path).map_err(BadImage::Unreadable)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(BadImage::Unreadable)?;
    Ok(bytes)
}

/// Refuses sizes that cannot be or must not be decoded.
pub(crate) fn check_size(width: u64, height: u64, limit: u64) -> Result<(), BadImage> {
    if width == 0 || height == 0 {
        return Err(BadImage::ZeroSize { width, height });
    }
    match width.checked_mul(height) {
        Some(pixels) if pixels <= limit => Ok(()),
        _ => Err(BadImage::TooLarge { width, height, limit }),
    }
}

fn turn(image: Image, orientation: Orientation) -> Result<Image, BadImage> {
    let wrong = || BadImage::Damaged("its size does not fit its pixels".into());
    let width = image.width as u32;
    let height = image.height as u32;
    let image = image::RgbImage::from_raw(width, height, image.pixels).ok_or_else(wrong)?;
    let mut image = image::DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let width = image.width() as usize;
    let height = image.height() as usize;
    Image::new(width, height, image.into_rgb8().into_raw()).ok_or_else(wrong)
}
