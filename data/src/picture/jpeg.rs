//! JPEG: baseline pictures in which nothing is wrong by [`crate::jpeg`], which computes no more than is asked for, and all
//! others through zune-jpeg in strict mode.
//!
//! Strict mode alone lets through a picture that was cut short and given a new end marker: after an end marker the
//! decoder reads zeros for what is missing. So the end marker is taken away and the data continued with ones, which are
//! no valid Huffman code in any table (ITU T.81, F.1.2.1 reserves the code of all ones): a decoder that needs more than
//! there is fails, and one that has all pixels never gets to see them, whether there was an end marker or not.

use std::cell::RefCell;

use image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::markers::{Colour, Markers, walk};
use super::resize::{KEPT, Plan};
use super::{DecodeOptions, Picture, check_size, guard};
use crate::error::{BadPicture, Result};
use crate::jpeg::{Jpeg, Reading, Region};

thread_local! {
    /// The part of a picture that a square needs.
    static PIXELS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// More than the decoder reads ahead.
const PADDING: usize = 32;

pub(super) fn decode(data: Vec<u8>, options: &DecodeOptions) -> Result<(Picture, Orientation), BadPicture> {
    match decode_baseline(&data, options) {
        Some(picture) => Ok((picture, Orientation::NoTransforms)),
        None => decode_any(data, options),
    }
}

/// Any JPEG, by zune-jpeg; or what is wrong with it.
pub(crate) fn decode_any(mut data: Vec<u8>, options: &DecodeOptions) -> Result<(Picture, Orientation), BadPicture> {
    let markers = walk(&data)?;
    check_size(markers.width, markers.height, options.max_pixels)?;
    if markers.scans > options.max_scans {
        return Err(BadPicture::TooManyScans { scans: markers.scans, limit: options.max_scans });
    }
    markers.check_complete()?;
    let exif = markers.exif.clone().filter(|_| options.apply_orientation);
    let orientation = exif.and_then(|range| Orientation::from_exif_chunk(&data[range]));
    state_colour(&mut data, &markers);
    data.truncate(markers.end);
    data.extend([0xff, 0x00].repeat(PADDING));
    data.extend([0xff, 0xd9]);
    let picture = guard::guarded(|| pixels(&data, &markers))?;
    Ok((picture, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// A picture that our own decoder knows, if nothing whatever is wrong with it and it is not to be turned.
fn decode_baseline(data: &[u8], options: &DecodeOptions) -> Option<Picture> {
    let jpeg = baseline(data, options)?;
    let (width, height) = (jpeg.width(), jpeg.height());
    let mut pixels = vec![0; width * height * 3];
    jpeg.decode(&Region { rows: 0..height, columns: 0..width }, Reading::Whole, &mut pixels, 3 * width).ok()?;
    Picture::new(width, height, pixels)
}

/// The square of such a picture, from the part of it that the square needs.
pub(super) fn decode_square(data: &[u8], size: usize, options: &DecodeOptions) -> Option<Result<Picture>> {
    let jpeg = baseline(data, options)?;
    if jpeg.width() == size && jpeg.height() == size {
        return decode_baseline(data, options).map(Ok);
    }
    let plan = Plan::new(jpeg.width(), jpeg.height(), size).ok()?;
    let Region { rows, columns } = &plan.region;
    PIXELS.with_borrow_mut(|pixels| {
        pixels.resize(rows.len() * columns.len() * 3, 0);
        let decoded = jpeg.decode(&plan.region, Reading::Whole, pixels, 3 * columns.len());
        let square = decoded.is_ok().then(|| plan.square_of_region(pixels));
        if pixels.capacity() > KEPT {
            *pixels = Vec::new();
        }
        square
    })
}

/// The header of such a picture.
fn baseline<'a>(data: &'a [u8], options: &DecodeOptions) -> Option<Jpeg<'a>> {
    let jpeg = Jpeg::new(data).ok()?;
    let turned = options.apply_orientation && jpeg.has_exif();
    let fits = check_size(jpeg.width() as u64, jpeg.height() as u64, options.max_pixels).is_ok();
    (fits && !turned && options.max_scans > 0).then_some(jpeg)
}

/// The JPEG that `data` begins with, without what follows its end, if a pack of JPEGs of `size` can hold it as it is:
/// in colours that every decoder knows, with an end marker, and not to be turned. It is not decoded here.
pub(crate) fn keepable<'a>(data: &'a [u8], size: usize, options: &DecodeOptions) -> Option<&'a [u8]> {
    if !data.starts_with(b"\xff\xd8") {
        return None;
    }
    let markers = walk(data).ok()?;
    let fits = markers.width == size as u64 && markers.height == size as u64;
    let plain = matches!(markers.colour, Colour::Grey | Colour::YCbCr);
    let turned = options.apply_orientation && markers.exif.is_some();
    let end = data.get(markers.end..)?.iter().position(|&b| b == 0xd9)? + markers.end + 1;
    (fits && plain && !turned).then(|| &data[..end])
}

/// Writes into the header what libjpeg would conclude from it, in the one form that the decoder understands.
fn state_colour(data: &mut [u8], markers: &Markers) {
    let ids = match markers.colour {
        Colour::Rgb => b"RGB",
        _ => b"\x01\x02\x03",
    };
    for &(name, transform) in &markers.adobe {
        match markers.colour {
            Colour::Grey | Colour::YCbCr | Colour::Rgb => data[name] = b'-',
            Colour::Cmyk { .. } => data[transform] = 0,
            Colour::Ycck => data[transform] = 2,
        }
    }
    if let [a, b, c] = markers.components.as_slice() {
        let known = [a.id, b.id, c.id];
        for &at in &markers.scan_components {
            if let Some(i) = known.iter().position(|&id| id == data[at]) {
                data[at] = ids[i];
            }
        }
        for (component, &id) in markers.components.iter().zip(ids) {
            data[component.at] = id;
        }
    }
}

fn pixels(data: &[u8], markers: &Markers) -> Result<Picture, BadPicture> {
    let space = match markers.colour {
        Colour::Cmyk { .. } => ColorSpace::CMYK,
        _ => ColorSpace::RGB,
    };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        // Scans were counted already.
        .jpeg_set_max_scans(usize::MAX)
        .jpeg_set_out_colorspace(space);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options);
    let decoded = decoder.decode().map_err(|e| reason(&e))?;
    let rgb = match markers.colour {
        Colour::Cmyk { inverted } => from_cmyk(&decoded, inverted),
        _ => decoded,
    };
    Picture::new(markers.width as usize, markers.height as usize, rgb)
        .ok_or_else(|| BadPicture::Damaged("another number of pixels than its header says".into()))
}

/// `R = (255 - C)(255 - K) / 255`, rounded, and so on.
fn from_cmyk(cmyk: &[u8], inverted: bool) -> Vec<u8> {
    let light = |v: u8| u32::from(if inverted { v } else { 255 - v });
    let mut rgb = Vec::with_capacity(cmyk.len() / 4 * 3);
    for pixel in cmyk.chunks_exact(4) {
        let black = light(pixel[3]);
        rgb.extend(pixel[..3].iter().map(|&v| ((light(v) * black + 127) / 255) as u8));
    }
    rgb
}

fn reason(error: &DecodeErrors) -> BadPicture {
    let text = error.to_string().replace('\n', " ");
    let text = text.trim_matches(|c: char| c == '"' || c.is_whitespace());
    match error {
        DecodeErrors::ExhaustedData => BadPicture::CutShort("its data ends before its last pixel".into()),
        DecodeErrors::Unsupported(_) => BadPicture::Unsupported(text.to_string()),
        // What the padding of ones makes: see above.
        _ if text.contains("Bad Huffman Code 0xFFFF") => {
            BadPicture::CutShort("its data ends before its last pixel".into())
        }
        _ => BadPicture::Damaged(text.to_string()),
    }
}
