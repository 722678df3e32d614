//! Decoding: the rules of every format, and malformed files.

use std::io::Cursor;

use alexnet_data::{BadImage, DecodeOptions, Image, decode_image, read_image, read_square};
use image::{DynamicImage, ImageFormat, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::common::image;

fn decode(bytes: &[u8]) -> Result<Image, BadImage> {
    decode_image(bytes.to_vec(), &DecodeOptions::default())
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// A JPEG of samples in the order of `colour`.
fn jpeg(
    samples: &[u8],
    width: u16,
    height: u16,
    colour: ColorType,
    set: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 95);
    set(&mut encoder);
    encoder.encode(samples, width, height, colour).unwrap();
    bytes
}

fn rgb_jpeg(image: &RgbImage, set: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    jpeg(image.as_raw(), image.width() as u16, image.height() as u16, ColorType::Rgb, set)
}

/// An image that JPEG barely changes.
fn smooth() -> RgbImage {
    RgbImage::from_fn(60, 44, |x, y| image::Rgb([(x * 4) as u8, (y * 5) as u8, (x + y) as u8 + 60]))
}

fn assert_near(found: &Image, expected: &[u8], most: u8) {
    let worst = found.pixels().iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(found.pixels().len() == expected.len() && worst <= Some(most), "worst difference {worst:?}");
}

/// Removes the first segment with this marker.
fn without_segment(jpeg: &[u8], marker: u8) -> Vec<u8> {
    let at = jpeg.windows(2).position(|pair| pair == [0xff, marker]).unwrap();
    let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    [&jpeg[..at], &jpeg[at + 2 + length..]].concat()
}

#[test]
fn every_format_gives_the_same_pixels_whatever_the_name() {
    let image = image(37, 29, 5);
    let folder = tempfile::tempdir().unwrap();
    let formats = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Pnm, ImageFormat::WebP];
    for format in formats {
        let path = folder.path().join("any.JPEG");
        std::fs::write(&path, encode(&image.clone().into(), format)).unwrap();
        let found = read_image(&path, &DecodeOptions::default()).unwrap();
        assert_eq!((found.width(), found.height()), (37, 29), "{format:?}");
        assert_eq!(found.pixels(), image.as_raw(), "{format:?}");
    }
}

#[test]
fn depth_alpha_and_grey_follow_the_rules() {
    let deep =
        image::ImageBuffer::from_fn(5, 4, |x, y| image::Rgb([(x * 9000 + 255) as u16, (y * 20_000) as u16, 65_535]));
    let high: Vec<u8> = deep.as_raw().iter().map(|v| (v >> 8) as u8).collect();
    assert_eq!(decode(&encode(&deep.into(), ImageFormat::Png)).unwrap().pixels(), high);

    let clear = image::RgbaImage::from_fn(5, 4, |x, y| image::Rgba([x as u8 * 50, y as u8 * 60, 7, x as u8]));
    let opaque: Vec<u8> = clear.pixels().flat_map(|p| [p[0], p[1], p[2]]).collect();
    assert_eq!(decode(&encode(&clear.into(), ImageFormat::Png)).unwrap().pixels(), opaque);

    let grey = image::GrayImage::from_fn(5, 4, |x, y| image::Luma([(x * 40 + y) as u8]));
    let thrice: Vec<u8> = grey.as_raw().iter().flat_map(|&v| [v; 3]).collect();
    assert_eq!(decode(&encode(&grey.clone().into(), ImageFormat::Png)).unwrap().pixels(), thrice);
    let found = decode(&jpeg(grey.as_raw(), 5, 4, ColorType::Luma, |_| ())).unwrap();
    assert_near(&found, &thrice, 3);
}

#[test]
fn cmyk_is_turned_back_with_adobes_marker_or_without() {
    let image = smooth();
    // Ink of an image printed without black, and a quarter of black everywhere.
    let ink: Vec<u8> = image.pixels().flat_map(|p| [255 - p[0], 255 - p[1], 255 - p[2], 64]).collect();
    let expected: Vec<u8> = image.as_raw().iter().map(|&v| (u32::from(v) * 191 / 255) as u8).collect();
    for colour in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        let adobe = jpeg(&ink, 60, 44, colour, |_| ());
        assert_near(&decode(&adobe).unwrap(), &expected, 8);
    }
    // Without the marker, the values are inverted too, as browsers read them.
    let adobe = jpeg(&ink, 60, 44, ColorType::Cmyk, |_| ());
    assert_eq!(decode(&without_segment(&adobe, 0xee)).unwrap(), decode(&adobe).unwrap());
}

#[test]
fn jpegs_of_all_kinds() {
    let image = smooth();
    let kinds: [(&str, Vec<u8>); 5] = [
        ("4:4:4", rgb_jpeg(&image, |e| e.set_sampling_factor(SamplingFactor::R_4_4_4))),
        ("4:2:0", rgb_jpeg(&image, |e| e.set_sampling_factor(SamplingFactor::R_4_2_0))),
        ("4:1:1", rgb_jpeg(&image, |e| e.set_sampling_factor(SamplingFactor::R_4_1_1))),
        ("progressive", rgb_jpeg(&image, |e| e.set_progressive(true))),
        ("restart markers", rgb_jpeg(&image, |e| e.set_restart_interval(2))),
    ];
    for (name, bytes) in kinds {
        let found = decode(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_near(&found, image.as_raw(), 12);
        let mut trailing = bytes.clone();
        trailing.extend([0; 5000]);
        assert_eq!(decode(&trailing).unwrap(), found, "{name} with zeros after its end");
        assert_eq!(decode(&bytes[..bytes.len() - 2]).unwrap(), found, "{name} without its end marker");
    }
}

#[test]
fn rgb_jpegs_are_known_by_their_marks() {
    let image = smooth();
    // Samples stored as they are: what the encoder takes for Y, Cb, Cr is R, G, B.
    let stored = jpeg(image.as_raw(), 60, 44, ColorType::Ycbcr, |e| e.set_sampling_factor(SamplingFactor::R_4_4_4));
    let plain = without_segment(&stored, 0xe0);
    let adobe = [&[0xff, 0xee, 0, 14], b"Adobe".as_slice(), &[0, 100, 0, 0, 0, 0, 0]].concat();
    let with_adobe = [&plain[..2], &adobe, &plain[2..]].concat();
    assert_near(&decode(&with_adobe).unwrap(), image.as_raw(), 6);
    // JFIF is always YCbCr, whatever Adobe's marker says.
    let jfif = [&stored[..20], &adobe, &stored[20..]].concat();
    assert_eq!(decode(&jfif).unwrap(), decode(&stored).unwrap());
}

#[test]
fn exif_orientation_is_ignored_unless_asked_for() {
    let tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let image = smooth();
    let turned = rgb_jpeg(&image, |e| e.add_app_segment(1, [b"Exif\0\0", tiff.as_slice()].concat()).unwrap());
    let plain = decode(&rgb_jpeg(&image, |_| ())).unwrap();
    assert_eq!(decode(&turned).unwrap(), plain);
    let options = DecodeOptions { apply_orientation: true, ..DecodeOptions::default() };
    let upright = decode_image(turned, &options).unwrap();
    assert_eq!((upright.width(), upright.height()), (44, 60));
    // Orientation 6: the first row is the right column.
    assert_eq!(upright.pixels()[43 * 3..44 * 3], plain.pixels()[..3]);
}

#[test]
fn an_image_cut_between_scans_is_refused_though_it_has_an_end() {
    let whole = rgb_jpeg(&smooth(), |e| e.set_progressive(true));
    let scans: Vec<usize> =
        whole.windows(2).enumerate().filter(|(_, w)| *w == [0xff, 0xda]).map(|(at, _)| at).collect();
    assert!(scans.len() > 3);
    for &at in &scans[1..] {
        let cut = [&whole[..at], &[0xff, 0xd9]].concat();
        assert!(matches!(decode(&cut), Err(BadImage::CutShort(_))), "cut at {at}");
    }
}

#[test]
fn sizes_are_refused_from_the_header() {
    let mut jpeg = rgb_jpeg(&smooth(), |_| ());
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let mut sized = |height: u16, width: u16| {
        jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        decode(&jpeg).unwrap_err().to_string()
    };
    assert_eq!(sized(65_500, 65_500), "65500 x 65500 pixels are over the limit of 64000000 pixels");
    assert_eq!(sized(0, 300), "a size of 300 x 0 pixels");
    assert_eq!(sized(300, 0), "a size of 0 x 300 pixels");
    let mut png = encode(&image(9, 9, 0).into(), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(decode(&png).unwrap_err().to_string(), "50000 x 50000 pixels are over the limit of 64000000 pixels");
}

/// The CRC of PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1))))
}

#[test]
fn many_scans_are_refused() {
    let whole = rgb_jpeg(&smooth(), |e| e.set_progressive(true));
    let first = whole.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    let next =
        first + 2 + whole[first + 2..].windows(2).position(|w| w[0] == 0xff && w[1] >= 0xc0 && w[1] != 0xff).unwrap();
    let bytes = [&whole[..first], &whole[first..next].repeat(5000), &whole[next..]].concat();
    assert!(matches!(decode(&bytes), Err(BadImage::TooManyScans { scans: 5000.., limit: 100 })));
}

#[test]
fn files_that_are_no_images_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.JPEG");
    std::fs::write(&page, "<html><body>404</body></html>").unwrap();
    let error = read_square(&page, 32).unwrap_err().to_string();
    assert_eq!(error, format!("{}: not an image: a web page or XML", page.display()));
    let error = read_square(folder.path(), 32).unwrap_err().to_string();
    assert!(error.ends_with("not an image: not a regular file"), "{error}");
    let error = read_square(&folder.path().join("none.jpg"), 32).unwrap_err().to_string();
    assert!(error.contains("none.jpg: cannot be read: "), "{error}");
}
