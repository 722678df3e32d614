//! JPEG, by [`crate::jpeg`].

use std::cell::RefCell;

use image::metadata::Orientation;

use super::resize::{MAX_KEPT_BYTES, SquarePlan};
use super::{DecodeOptions, Image, catch_panic};
use crate::error::{BadImage, Error};
use crate::jpeg::{Jpeg, Limits, ReadExtent, Region};

thread_local! {
    /// Buffer for the region of an image that a square needs.
    static PIXELS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn decode(data: &[u8], options: &DecodeOptions) -> Result<(Image, Orientation), BadImage> {
    catch_panic::catch_decoder_panic(|| {
        let jpeg = open_jpeg(data, options)?;
        Ok((decode_whole(&jpeg)?, orientation(&jpeg, options)))
    })
}

/// Decodes only the region of an image that the square needs; `None` if the image must be rotated first.
pub(super) fn decode_square(data: &[u8], size: usize, options: &DecodeOptions) -> Result<Option<Image>, BadImage> {
    catch_panic::catch_decoder_panic(|| {
        let jpeg = open_jpeg(data, options)?;
        if orientation(&jpeg, options) != Orientation::NoTransforms {
            return Ok(None);
        }
        if jpeg.width() == size && jpeg.height() == size {
            return decode_whole(&jpeg).map(Some);
        }
        let damaged = |e: Error| BadImage::Damaged(e.to_string());
        let plan = SquarePlan::new(jpeg.width(), jpeg.height(), size).map_err(damaged)?;
        let Region { rows, columns } = &plan.region;
        PIXELS.with_borrow_mut(|pixels| {
            pixels.resize(rows.len() * columns.len() * 3, 0);
            let decoded = jpeg.decode(&plan.region, ReadExtent::WholeFile, pixels, 3 * columns.len());
            let square = decoded.and_then(|()| plan.square_of_region(pixels).map_err(damaged));
            if pixels.capacity() > MAX_KEPT_BYTES {
                *pixels = Vec::new();
            }
            square.map(Some)
        })
    })
}

/// The JPEG at the start of `data`, without trailing bytes, if a pack of JPEGs of `size` can store it as is: in grey or
/// YCbCr, with an end marker, and not to be rotated. It is not decoded.
pub(crate) fn storable_as_is<'a>(data: &'a [u8], size: usize, options: &DecodeOptions) -> Option<&'a [u8]> {
    let jpeg = open_jpeg(data, options).ok()?;
    let fits = jpeg.width() == size && jpeg.height() == size;
    let is_rotated = options.apply_orientation && jpeg.exif().is_some();
    if fits && !is_rotated { jpeg.storable_file() } else { None }
}

fn open_jpeg<'a>(data: &'a [u8], options: &DecodeOptions) -> Result<Jpeg<'a>, BadImage> {
    Jpeg::new(data, &Limits { pixels: options.max_pixels, scans: options.max_scans })
}

fn orientation(jpeg: &Jpeg<'_>, options: &DecodeOptions) -> Orientation {
    let exif = jpeg.exif().filter(|_| options.apply_orientation);
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

fn decode_whole(jpeg: &Jpeg<'_>) -> Result<Image, BadImage> {
    let width = jpeg.width();
    let height = jpeg.height();
    let mut pixels = vec![0; 3 * width * height];
    jpeg.decode(&Region { rows: 0..height, columns: 0..width }, ReadExtent::WholeFile, &mut pixels, 3 * width)?;
    Image::new(width, height, pixels).ok_or(BadImage::ZeroSize { width: width as u64, height: height as u64 })
}
