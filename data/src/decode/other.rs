//! PNG, WebP, BMP and PNM, through the `image` crate.

use std::borrow::Cow;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::orientation::Metadata;
use super::{DecodeOptions, Image, bmp, check_size, guard, png, webp};
use crate::error::BadImage;

pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    options: &DecodeOptions,
) -> Result<(Image, Orientation), BadImage> {
    let turned = options.apply_orientation;
    let (known, orientation) = match format {
        ImageFormat::Bmp => prepared_bmp(bytes),
        ImageFormat::WebP => {
            let orientation = if turned { Metadata::of_webp(bytes).orientation() } else { Orientation::NoTransforms };
            (webp::unblended(bytes).map_or(bytes.into(), Cow::Owned), orientation)
        }
        ImageFormat::Png => {
            png::check_header(bytes, options.max_pixels)?;
            let orientation = if turned { Metadata::of_png(bytes).orientation() } else { Orientation::NoTransforms };
            (png::without_texts(bytes), orientation)
        }
        _ => (bytes.into(), Orientation::NoTransforms),
    };
    Ok((guard::guarded(|| pixels(&known, format, options))?, orientation))
}

/// Under a header that is known, and what that did to the rows.
fn prepared_bmp(bytes: &[u8]) -> (Cow<'_, [u8]>, Orientation) {
    match bmp::known_header(bytes) {
        None => (bytes.into(), Orientation::NoTransforms),
        Some((known, false)) => (known.into(), Orientation::NoTransforms),
        Some((known, true)) => (known.into(), Orientation::FlipVertical),
    }
}

fn pixels(bytes: &[u8], format: ImageFormat, options: &DecodeOptions) -> Result<Image, BadImage> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits(options));
    let decoder = reader.into_decoder().map_err(|e| reason(e, format))?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), options.max_pixels)?;
    let image = DynamicImage::from_decoder(decoder).map_err(|e| reason(e, format))?;
    let mut rgb = to_rgb(image);
    if format == ImageFormat::Bmp {
        bmp::round_down(bytes, &mut rgb);
    }
    let image = Image::new(width as usize, height as usize, rgb);
    image.ok_or_else(|| BadImage::Damaged("another number of pixels than its header says".into()))
}

/// What decoders may allocate: pixels of up to 16 bytes, and some room to work.
fn limits(options: &DecodeOptions) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(options.max_pixels.saturating_mul(16).saturating_add(64 << 20));
    limits
}

fn to_rgb(image: DynamicImage) -> Vec<u8> {
    match image {
        DynamicImage::ImageLuma16(b) => high_bytes(b.as_raw(), 1),
        DynamicImage::ImageLumaA16(b) => high_bytes(b.as_raw(), 2),
        DynamicImage::ImageRgb16(b) => high_bytes(b.as_raw(), 3),
        DynamicImage::ImageRgba16(b) => high_bytes(b.as_raw(), 4),
        other => other.into_rgb8().into_raw(),
    }
}

fn high_bytes(values: &[u16], channels: usize) -> Vec<u8> {
    let colours = if channels < 3 { [0, 0, 0] } else { [0, 1, 2] };
    values.chunks_exact(channels).flat_map(|pixel| colours.map(|c| (pixel[c] >> 8) as u8)).collect()
}

fn reason(error: ImageError, format: ImageFormat) -> BadImage {
    let text = error.to_string().replace('\n', " ");
    match error {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            BadImage::CutShort(format!("{format:?} data ends before its last pixel"))
        }
        ImageError::Unsupported(_) => BadImage::Unsupported(text),
        _ if text.to_lowercase().contains("unexpected e") => BadImage::CutShort(text),
        _ => BadImage::Damaged(text),
    }
}
