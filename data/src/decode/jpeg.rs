//! JPEG, by [`crate::jpeg`].

use std::cell::RefCell;

use image::metadata::Orientation;

use super::resize::{KEPT, Plan};
use super::{DecodeOptions, Image, guard};
use crate::error::{BadImage, Error};
use crate::jpeg::{Jpeg, Limits, Reading, Region};

thread_local! {
    /// The part of an image that a square needs.
    static PIXELS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn decode(data: &[u8], options: &DecodeOptions) -> Result<(Image, Orientation), BadImage> {
    guard::guarded(|| {
        let jpeg = open(data, options)?;
        Ok((whole(&jpeg)?, orientation(&jpeg, options)))
    })
}

/// The square of an image, from the part of it that the square needs; `None` if it is to be turned first.
pub(super) fn decode_square(data: &[u8], size: usize, options: &DecodeOptions) -> Result<Option<Image>, BadImage> {
    guard::guarded(|| {
        let jpeg = open(data, options)?;
        if orientation(&jpeg, options) != Orientation::NoTransforms {
            return Ok(None);
        }
        if jpeg.width() == size && jpeg.height() == size {
            return whole(&jpeg).map(Some);
        }
        let damaged = |e: Error| BadImage::Damaged(e.to_string());
        let plan = Plan::new(jpeg.width(), jpeg.height(), size).map_err(damaged)?;
        let Region { rows, columns } = &plan.region;
        PIXELS.with_borrow_mut(|pixels| {
            pixels.resize(rows.len() * columns.len() * 3, 0);
            let decoded = jpeg.decode(&plan.region, Reading::Whole, pixels, 3 * columns.len());
            let square = decoded.and_then(|()| plan.square_of_region(pixels).map_err(damaged));
            if pixels.capacity() > KEPT {
                *pixels = Vec::new();
            }
            square.map(Some)
        })
    })
}

/// The JPEG that `data` begins with, without what follows its end, if a pack of JPEGs of `size` can hold it as it is:
/// in colours that every decoder knows, with an end marker, and not to be turned. It is not decoded here.
pub(crate) fn keepable<'a>(data: &'a [u8], size: usize, options: &DecodeOptions) -> Option<&'a [u8]> {
    let jpeg = open(data, options).ok()?;
    let fits = jpeg.width() == size && jpeg.height() == size;
    let turned = options.apply_orientation && jpeg.exif().is_some();
    if fits && !turned { jpeg.plain_file() } else { None }
}

fn open<'a>(data: &'a [u8], options: &DecodeOptions) -> Result<Jpeg<'a>, BadImage> {
    Jpeg::new(data, &Limits { pixels: options.max_pixels, scans: options.max_scans })
}

fn orientation(jpeg: &Jpeg<'_>, options: &DecodeOptions) -> Orientation {
    let exif = jpeg.exif().filter(|_| options.apply_orientation);
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

fn whole(jpeg: &Jpeg<'_>) -> Result<Image, BadImage> {
    let width = jpeg.width();
    let height = jpeg.height();
    let mut pixels = vec![0; 3 * width * height];
    jpeg.decode(&Region { rows: 0..height, columns: 0..width }, Reading::Whole, &mut pixels, 3 * width)?;
    Image::new(width, height, pixels).ok_or(BadImage::ZeroSize { width: width as u64, height: height as u64 })
}
