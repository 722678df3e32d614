//! Everything but JPEG, through the `image` crate.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::{DecodeOptions, Picture, check_size, guard};
use crate::error::BadPicture;

pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    options: &DecodeOptions,
) -> Result<(Picture, Orientation), BadPicture> {
    guard::guarded(|| {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits(options));
        let mut decoder = reader.into_decoder().map_err(|e| reason(e, format))?;
        let (width, height) = decoder.dimensions();
        check_size(width.into(), height.into(), options.max_pixels)?;
        let orientation = match options.apply_orientation {
            true => decoder.orientation().unwrap_or(Orientation::NoTransforms),
            false => Orientation::NoTransforms,
        };
        let image = DynamicImage::from_decoder(decoder).map_err(|e| reason(e, format))?;
        let picture = Picture::new(width as usize, height as usize, to_rgb(image));
        let wrong = || BadPicture::Damaged("another number of pixels than its header says".into());
        Ok((picture.ok_or_else(wrong)?, orientation))
    })
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

fn reason(error: ImageError, format: ImageFormat) -> BadPicture {
    let text = error.to_string().replace('\n', " ");
    match error {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            BadPicture::CutShort(format!("{format:?} data ends before its last pixel"))
        }
        ImageError::Unsupported(_) => BadPicture::Unsupported(text),
        _ if text.to_lowercase().contains("unexpected e") => BadPicture::CutShort(text),
        _ => BadPicture::Damaged(text),
    }
}
