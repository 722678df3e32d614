//! Decoding of images to 8-bit RGB pixels. See [`Image`] for the rules.

mod bmp;
mod catch_panic;
mod format_detection;
mod gif;
mod image_crate;
mod jpeg;
mod orientation;
mod png;
mod resize;
mod tiff;
mod webp;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{BadImage, Error, Result};
use format_detection::ImageKind;
use image::metadata::Orientation;

pub(crate) use jpeg::storable_as_is as storable_jpeg;
pub use resize::resize_and_crop;
pub(crate) use resize::{check as check_square, resize};

/// Maximum file size; no image of 64 megapixels needs more.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 30;

/// A decoded image: 8-bit RGB, rows from the top.
///
/// Rules for all formats:
/// - The format is detected from the content, never from the name.
/// - The size in the header is checked before anything is allocated; zero or too many pixels are rejected.
/// - A truncated image is an error. A JPEG that only lacks its end marker has all pixels and is accepted, and so are
///   trailing bytes.
/// - Grey is copied to three channels, palettes are expanded, alpha is dropped (as by Pillow's `convert("RGB")`), and
///   the high byte of 16-bit samples is kept. TIFF colours premultiplied by alpha are divided by it.
/// - An animation gives its first frame on its canvas; uncovered pixels match Pillow: the transparent colour of a GIF
///   or the first of its palette, black in a WebP.
/// - CMYK: `R = (255 - C)(255 - K) / 255`. JPEGs store inverted values, as Adobe's programs do, with or without Adobe's
///   marker, as browsers and Pillow assume.
/// - Colour profiles are ignored. So is the EXIF orientation, as in 2012, unless [`DecodeOptions`] enables it. The
///   orientation tag of TIFF describes the row order in the file and is always applied.
/// - A panic of a decoder is caught and rejects the image.
///
/// ```
/// use alexnet_data::Image;
///
/// let red = Image::new(2, 1, vec![255, 0, 0, 255, 0, 0]).ok_or("no image")?;
/// assert_eq!((red.width(), red.height(), red.pixels()[3]), (2, 1, 255));
/// assert_eq!(Image::new(2, 2, vec![0; 6]), None);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Image {
    /// Creates an image from `3 * width * height` bytes of RGB; `None` if the length does not match or is zero.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Option<Self> {
        let expected = width.checked_mul(height)?.checked_mul(3)?;
        (expected > 0 && expected == pixels.len()).then_some(Self { width, height, pixels })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `height * width * 3` bytes of RGB, rows from the top.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Returns the bytes of [`Image::pixels`] without copying.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

/// Options of image decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Maximum number of pixels.
    pub max_pixels: u64,
    /// Maximum number of scans of a JPEG.
    pub max_scans: usize,
    /// Rotate the image by its EXIF orientation. The paper's data ignored it.
    pub apply_orientation: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_pixels: 64_000_000, max_scans: 100, apply_orientation: false }
    }
}

/// Reads an image from a file.
///
/// ```no_run
/// use std::path::Path;
/// use alexnet_data::{DecodeOptions, read_image};
///
/// let options = DecodeOptions { apply_orientation: true, ..DecodeOptions::default() };
/// let image = read_image(Path::new("cat.jpg"), &options)?;
/// println!("{} x {}", image.width(), image.height());
/// # Ok::<(), alexnet_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Image`] with the file and the reason.
pub fn read_image(path: &Path, options: &DecodeOptions) -> Result<Image> {
    read_bytes(path)
        .and_then(|bytes| decode_image(bytes, options))
        .map_err(|reason| Error::Image { path: path.to_path_buf(), reason })
}

/// Decodes an image from the bytes of a file.
///
/// ```
/// use alexnet_data::{DecodeOptions, decode_image};
///
/// let image = decode_image(b"P3 1 1 255 10 20 30".to_vec(), &DecodeOptions::default())?;
/// assert_eq!(image.pixels(), [10, 20, 30]);
/// let error = decode_image(b"GIF89a".to_vec(), &DecodeOptions::default()).map(drop);
/// assert!(error.is_err());
/// # Ok::<(), alexnet_data::BadImage>(())
/// ```
///
/// # Errors
/// The reason why the image is rejected.
pub fn decode_image(bytes: Vec<u8>, options: &DecodeOptions) -> Result<Image, BadImage> {
    let (image, orientation) = match format_detection::detect(&bytes)? {
        ImageKind::Jpeg => jpeg::decode(&bytes, options)?,
        ImageKind::Gif => (gif::decode(&bytes, options)?, Orientation::NoTransforms),
        ImageKind::Tiff => tiff::decode(&bytes, options)?,
        ImageKind::Other(format) => image_crate::decode(&bytes, format, options)?,
    };
    match orientation {
        Orientation::NoTransforms => Ok(image),
        orientation => apply_orientation(image, orientation),
    }
}

/// Decodes an image and crops it to a square like [`resize_and_crop`]. An image of `size` x `size` is returned
/// unchanged. For sequential JPEGs only the pixels that the square needs are computed, but the whole file is read and
/// checked.
///
/// ```
/// use alexnet_data::{DecodeOptions, decode_square};
///
/// let square = decode_square(b"P3 2 1 255 0 0 0 200 200 200".to_vec(), 1, &DecodeOptions::default())?;
/// assert_eq!((square.width(), square.height()), (1, 1));
/// # Ok::<(), alexnet_data::BadImage>(())
/// ```
///
/// # Errors
/// The reason why the image is rejected.
pub fn decode_square(bytes: Vec<u8>, size: usize, options: &DecodeOptions) -> Result<Image, BadImage> {
    let damaged = |e: Error| BadImage::Damaged(e.to_string());
    check_square(size).map_err(damaged)?;
    if matches!(format_detection::detect(&bytes)?, ImageKind::Jpeg)
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

/// Reads an image and crops it to a square: the shorter side is resized to `size` and the centre kept (paper, section
/// 2). Returns `size * size * 3` bytes.
///
/// ```no_run
/// let pixels = alexnet_data::read_square(std::path::Path::new("cat.jpg"), 256)?;
/// assert_eq!(pixels.len(), 256 * 256 * 3);
/// # Ok::<(), alexnet_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Image`] with the file and the reason, [`Error::Option`] for an invalid size.
pub fn read_square(path: &Path, size: usize) -> Result<Vec<u8>> {
    read_square_with(path, size, &DecodeOptions::default())
}

/// Like [`read_square`], with decoding options.
///
/// # Errors
/// Same as [`read_square`].
pub fn read_square_with(path: &Path, size: usize, options: &DecodeOptions) -> Result<Vec<u8>> {
    check_square(size)?;
    let square = read_bytes(path).and_then(|bytes| decode_square(bytes, size, options));
    let square = square.map_err(|reason| Error::Image { path: path.to_path_buf(), reason })?;
    Ok(square.into_pixels())
}

/// Reads a regular file of bounded length.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, BadImage> {
    // Opening a named pipe would block forever, so check first.
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

/// Rejects sizes that are zero or above the limit.
pub(crate) fn check_size(width: u64, height: u64, limit: u64) -> Result<(), BadImage> {
    if width == 0 || height == 0 {
        return Err(BadImage::ZeroSize { width, height });
    }
    match width.checked_mul(height) {
        Some(pixels) if pixels <= limit => Ok(()),
        _ => Err(BadImage::TooLarge { width, height, limit }),
    }
}

fn apply_orientation(image: Image, orientation: Orientation) -> Result<Image, BadImage> {
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
