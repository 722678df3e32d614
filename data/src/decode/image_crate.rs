//! PNG, WebP, BMP and PNM, by the `image` crate.

use std::borrow::Cow;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::orientation::ImageMetadata;
use super::{DecodeOptions, Image, bmp, catch_panic, check_size, png, webp};
use crate::error::BadImage;

pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    options: &DecodeOptions,
) -> Result<(Image, Orientation), BadImage> {
    let apply_orientation = options.apply_orientation;
    let (data, orientation) = match format {
        ImageFormat::Bmp => supported_bmp(bytes),
        ImageFormat::WebP => {
            let orientation =
                if apply_orientation { ImageMetadata::of_webp(bytes).orientation() } else { Orientation::NoTransforms };
            (webp::unblended(bytes).map_or(bytes.into(), Cow::Owned), orientation)
        }
        ImageFormat::Png => {
            png::check_header(bytes, options.max_pixels)?;
            let orientation =
                if apply_orientation { ImageMetadata::of_png(bytes).orientation() } else { Orientation::NoTransforms };
            (png::without_texts(bytes), orientation)
        }
        _ => (bytes.into(), Orientation::NoTransforms),
    };
    Ok((catch_panic::catch_decoder_panic(|| decode_pixels(&data, format, options))?, orientation))
}

/// Rewrites a BMP to a supported header and returns the orientation of its rows.
fn supported_bmp(bytes: &[u8]) -> (Cow<'_, [u8]>, Orientation) {
    match bmp::with_supported_header(bytes) {
        None => (bytes.into(), Orientation::NoTransforms),
        Some((data, false)) => (data.into(), Orientation::NoTransforms),
        Some((data, true)) => (data.into(), Orientation::FlipVertical),
    }
}

fn decode_pixels(bytes: &[u8], format: ImageFormat, options: &DecodeOptions) -> Result<Image, BadImage> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits(options));
    let decoder = reader.into_decoder().map_err(|e| rejection(e, format))?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), options.max_pixels)?;
    let image = DynamicImage::from_decoder(decoder).map_err(|e| rejection(e, format))?;
    let mut rgb = to_rgb(image);
    if format == ImageFormat::Bmp {
        bmp::expand_rounding_down(bytes, &mut rgb);
    }
    let image = Image::new(width as usize, height as usize, rgb);
    image.ok_or_else(|| BadImage::Damaged("another number of pixels than its header says".into()))
}

/// Allocation limit of decoders: up to 16 bytes per pixel plus working memory.
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

fn rejection(error: ImageError, format: ImageFormat) -> BadImage {
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
