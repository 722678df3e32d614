//! Truncated or modified files: an error or all pixels, never part of an image and never a panic.

use std::io::Cursor;
use std::sync::LazyLock;

use alexnet_data::{BadImage, DecodeOptions, Image, decode_image, resize_and_crop};
use image::ImageFormat;
use jpeg_encoder::{ColorType, Encoder};
use proptest::prelude::*;

use crate::common::{self, image};

fn decode(bytes: &[u8]) -> Result<Image, BadImage> {
    decode_image(bytes.to_vec(), &DecodeOptions::default())
}

/// One file of each format.
static FILES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let image = image(71, 53, 3);
    let jpeg = |set: fn(&mut Encoder<&mut Vec<u8>>)| {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 85);
        set(&mut encoder);
        encoder.encode(image.as_raw(), 71, 53, ColorType::Rgb).unwrap();
        bytes
    };
    let mut files = vec![
        ("baseline", jpeg(|_| ())),
        ("restarts", jpeg(|e| e.set_restart_interval(3))),
        ("progressive", jpeg(|e| e.set_progressive(true))),
    ];
    let formats = [
        ("png", ImageFormat::Png),
        ("gif", ImageFormat::Gif),
        ("bmp", ImageFormat::Bmp),
        ("webp", ImageFormat::WebP),
        ("pnm", ImageFormat::Pnm),
    ];
    for (name, format) in formats {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        files.push((name, bytes));
    }
    files.push(("tiff", common::tiff::Tiff::new(71, 53, 2, 8, 3, image.as_raw().clone()).bytes()));
    files
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_file_cut_anywhere_is_refused_or_whole(kind in 0..9usize, part in 0.0..1.0f64, with_end: bool) {
        let (name, whole) = &FILES[kind];
        let at = (whole.len() as f64 * part) as usize;
        let mut cut = whole[..at].to_vec();
        if with_end {
            cut.extend([0xff, 0xd9]);
        }
        // A cut may take away nothing but an end mark.
        if let Ok(found) = decode(&cut) {
            prop_assert!(found == decode(whole).unwrap(), "half a {name} cut at {at} of {}", whole.len());
        }
    }

    #[test]
    fn changed_bytes_never_panic(kind in 0..9usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = FILES[kind].1.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // A decoder's own panic is caught; ours would fail the test.
        if let Ok(found) = decode(&bytes) {
            prop_assert_eq!(found.pixels().len(), found.width() * found.height() * 3);
        }
    }

    #[test]
    fn random_bytes_never_panic(mark in 0..9usize, kept in 0..40usize, rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&[&FILES[mark].1[..kept], &rest].concat());
    }

    /// Antialiased bilinear resizing of the whole image in floating point, then the centre crop.
    #[test]
    fn resizing_is_a_triangle_filter(width in 1..90usize, height in 1..90usize, size in 1..48usize, seed: u32) {
        let drawn = image(width as u32, height as u32, seed % 1000);
        let found = resize_and_crop(&Image::new(width, height, drawn.into_raw()).unwrap(), size).unwrap();
        let source = image(width as u32, height as u32, seed % 1000);
        let short = width.min(height);
        let axis = |side: usize| {
            let long = size * side / short;
            let offset = ((long - size) as f64 / 2.0).round_ties_even() as usize;
            (0..size).map(|i| weights(side, long, i + offset)).collect::<Vec<_>>()
        };
        let columns = axis(width);
        let rows = axis(height);
        for (y, row) in rows.iter().enumerate() {
            for (x, column) in columns.iter().enumerate() {
                for c in 0..3 {
                    let plain: f64 = row
                        .iter()
                        .flat_map(|&(sy, wy)| column.iter().map(move |&(sx, wx)| (sx, sy, wx * wy)))
                        .map(|(sx, sy, w)| w * f64::from(source.get_pixel(sx as u32, sy as u32)[c]))
                        .sum();
                    let value = f64::from(found.pixels()[(y * size + x) * 3 + c]);
                    prop_assert!((plain - value).abs() < 1.6, "{x} {y} {c}: {value} for {plain}");
                }
            }
        }
    }
}

/// Source positions and weights of position `i` when `side` is resized to `long`.
fn weights(side: usize, long: usize, i: usize) -> Vec<(usize, f64)> {
    let scale = side as f64 / long as f64;
    let centre = (i as f64 + 0.5) * scale;
    let reach = scale.max(1.0);
    let weight = |j: usize| (1.0 - ((j as f64 + 0.5 - centre) / reach).abs()).max(0.0);
    let total: f64 = (0..side).map(weight).sum();
    (0..side).map(|j| (j, weight(j) / total)).filter(|(_, w)| *w > 0.0).collect()
}
