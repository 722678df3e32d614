//! TIFF: every way to store samples gives the same pixels. Expected values of colour conversions are Pillow's (libtiff's).

use std::io::Write;

use alexnet_data::{BadImage, DecodeOptions, Image, decode_image};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use crate::common;
use crate::common::tiff::Tiff;

const LZW: u64 = 5;
const JPEG: u64 = 7;
const DEFLATE: u64 = 8;
const PACK_BITS: u64 = 32773;

fn decode(tiff: &Tiff) -> Result<Image, BadImage> {
    decode_image(tiff.bytes(), &DecodeOptions::default())
}

#[track_caller]
fn pixels(tiff: &Tiff) -> Vec<u8> {
    decode(tiff).unwrap().into_pixels()
}

fn grey(values: &[u8]) -> Vec<u8> {
    values.iter().flat_map(|&v| [v; 3]).collect()
}

/// Compressed by what the tag says.
fn compressed(data: &[u8], compression: u64) -> Vec<u8> {
    match compression {
        LZW => weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8).encode(data).unwrap(),
        DEFLATE => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        // Literals and, of pairs that are alike, runs.
        PACK_BITS => data
            .chunks(2)
            .flat_map(|pair| match *pair {
                [a, b] if a == b => vec![255, a],
                [a, b] => vec![1, a, b],
                _ => vec![0, pair[0]],
            })
            .collect(),
        _ => data.to_vec(),
    }
}

#[test]
fn grey_of_any_depth() {
    let cases: [(u64, Vec<u8>, [u8; 4]); 5] = [
        (1, vec![0b0110_0000], [0, 255, 255, 0]),
        (2, vec![0b0001_1011], [0, 85, 170, 255]),
        (4, vec![0x01, 0x8f], [0, 17, 136, 255]),
        (8, vec![0, 1, 128, 255], [0, 1, 128, 255]),
        (16, vec![0, 9, 1, 9, 128, 9, 255, 9], [0, 1, 128, 255]),
    ];
    for (bits, data, expected) in cases {
        for (colour, big) in [(1, false), (0, false), (1, true)] {
            let mut tiff = Tiff { big, big_endian: true, ..Tiff::new(4, 1, colour, bits, 1, data.clone()) };
            let expected = expected.map(|v| if colour == 0 { 255 - v } else { v });
            assert_eq!(pixels(&tiff), grey(&expected), "{bits} bits, colour {colour}");
            if bits == 16 {
                tiff.chunks[0].chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
            }
            tiff.big_endian = false;
            assert_eq!(pixels(&tiff), grey(&expected), "{bits} bits, colour {colour}, low byte first");
        }
    }
}

#[test]
fn palettes_of_any_depth() {
    for (bits, data) in [(1, vec![0b0110_0000]), (2, vec![0b0001_0100]), (4, vec![0x01, 0x10]), (8, vec![0, 1, 1, 0])] {
        let size = 1 << bits;
        let map: Vec<u64> = (0..3 * size).map(|i| (i % 200) << 8 | 9).collect();
        let colours = [[0, 1], [size, size + 1], [2 * size, 2 * size + 1]].map(|pair| pair.map(|v| (v % 200) as u8));
        let expected: Vec<u8> = [0, 1, 1, 0].iter().flat_map(|&i| colours.map(|pair| pair[i])).collect();
        let tiff = Tiff::new(4, 1, 3, bits, 1, data).with(320, &map);
        assert_eq!(pixels(&tiff), expected, "{bits} bits");
        let eight: Vec<u64> = map.iter().map(|v| v >> 8).collect();
        assert_eq!(pixels(&Tiff { tags: vec![(320, eight)], ..tiff.clone() }), expected, "a palette of 8 bits");
        let short = decode(&Tiff { tags: vec![(320, vec![1; 5])], ..tiff }).unwrap_err().to_string();
        assert_eq!(short, format!("damaged: a palette of 5 values, expected {}", 3 * size));
    }
}

#[test]
fn bits_may_come_lowest_first() {
    let data: Vec<u8> = (0..27).map(|i| i * 9 + 3).collect();
    let reversed = |data: &[u8]| -> Vec<u8> { data.iter().map(|byte| byte.reverse_bits()).collect() };
    for compression in [1, LZW, DEFLATE, PACK_BITS] {
        let stored = reversed(&compressed(&data, compression));
        let tiff = Tiff { compression, ..Tiff::new(3, 3, 2, 8, 3, stored) }.with(266, &[2]);
        assert_eq!(pixels(&tiff), data, "compression {compression}");
    }
    let deep = Tiff::new(2, 1, 1, 16, 1, vec![0x80, 0x40, 0x0f, 0xf0]).with(266, &[2]);
    assert_eq!(pixels(&deep), grey(&[2, 15]));
    // Fax group 4, by libtiff: 20 x 6 pixels, black where (20 y + x) mod 7 < 3.
    let fax = [38, 177, 184, 221, 109, 182, 237, 182, 221, 182, 219, 109, 183, 38, 169, 182, 220, 0, 64, 4];
    let expected: Vec<u8> = (0..120).map(|i| if i % 7 < 3 { 255 } else { 0 }).collect();
    for (order, data) in [(1, fax.to_vec()), (2, reversed(&fax))] {
        let tiff = Tiff { compression: 4, ..Tiff::new(20, 6, 1, 1, 1, data) }.with(266, &[order]);
        assert_eq!(pixels(&tiff), grey(&expected), "fax, order {order}");
    }
}

#[test]
fn alpha_is_dropped_after_it_is_divided_out() {
    let colours = [10, 20, 30, 0, 10, 20, 30, 40, 60, 50, 40, 50, 7, 8, 9, 255];
    let plain: Vec<u8> = colours.chunks(4).flat_map(|p| p[..3].to_vec()).collect();
    for (kind, expected) in [(0, &plain), (2, &plain), (1, &vec![0, 0, 0, 63, 127, 191, 255, 255, 204, 7, 8, 9])] {
        let tiff = Tiff::new(4, 1, 2, 8, 4, colours.to_vec()).with(338, &[kind]);
        assert_eq!(&pixels(&tiff), expected, "extra sample of kind {kind}");
        let planes = (0..4).map(|c| colours.iter().skip(c).step_by(4).copied().collect()).collect();
        let planar = Tiff { chunks: planes, ..tiff }.with(284, &[2]);
        assert_eq!(&pixels(&planar), expected, "extra plane of kind {kind}");
    }
    assert_eq!(pixels(&Tiff::new(2, 1, 1, 8, 2, vec![10, 20, 30, 40]).with(338, &[2])), grey(&[10, 30]));
    let deep = vec![10, 1, 20, 2, 30, 3, 40, 9, 60, 0, 50, 0, 40, 0, 50, 0];
    assert_eq!(pixels(&Tiff::new(2, 1, 2, 16, 4, deep).with(338, &[2])), [1, 2, 3, 0, 0, 0]);
}

#[test]
fn ink_and_luminance() {
    let ink = vec![10, 20, 30, 40, 200, 100, 50, 3, 0, 0, 0, 255];
    assert_eq!(pixels(&Tiff::new(3, 1, 5, 8, 4, ink)), [207, 198, 190, 54, 153, 203, 0, 0, 0]);
    let data = [
        106, 152, 249, 131, 184, 200, 0, 21, 253, 147, 202, 107, 249, 169, 138, 149, 119, 166, 224, 148, 172, 93, 167,
        142,
    ];
    let ycbcr = |width: usize, height: usize, factors: [u64; 2], length: usize| {
        let stored = compressed(&data[..length], LZW);
        Tiff { compression: LZW, ..Tiff::new(width, height, 6, 8, 3, stored) }.with(530, &factors)
    };
    assert_eq!(pixels(&ycbcr(2, 2, [1, 1], 12)), [255, 11, 149, 232, 60, 230, 175, 0, 0, 118, 137, 255]);
    let half = [
        110, 62, 255, 156, 108, 255, 34, 255, 0, 50, 255, 0, 224, 243, 255, 118, 137, 255, 255, 231, 255, 198, 151, 187,
    ];
    assert_eq!(pixels(&ycbcr(4, 2, [2, 1], 16)), half);
    let quarter = [
        207, 35, 205, 253, 81, 251, 0, 0, 131, 255, 178, 255, 232, 60, 230, 224, 243, 255, 255, 225, 233, 222, 145,
        153, 244, 201, 255,
    ];
    assert_eq!(pixels(&ycbcr(3, 3, [2, 2], 24)), quarter);
    assert!(matches!(decode(&ycbcr(3, 3, [2, 2], 23)), Err(BadImage::CutShort(_))));
}

#[test]
fn the_orientation_tag_is_followed() {
    let tiff = |orientation| Tiff::new(2, 1, 1, 8, 1, vec![1, 2]).with(274, &[orientation]);
    let shown = |orientation| {
        let image = decode(&tiff(orientation)).unwrap();
        (image.width(), image.height(), image.pixels().iter().copied().step_by(3).collect::<Vec<_>>())
    };
    assert_eq!(shown(1), (2, 1, vec![1, 2]));
    assert_eq!(shown(2), (2, 1, vec![2, 1]));
    assert_eq!(shown(6), (1, 2, vec![1, 2]));
    assert_eq!(shown(8), (1, 2, vec![2, 1]));
    assert_eq!(shown(99), (2, 1, vec![1, 2]));
}

fn jpeg(samples: &[u8], width: usize, height: usize, colour: ColorType, factors: SamplingFactor) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(factors);
    encoder.encode(samples, width as u16, height as u16, colour).unwrap();
    bytes
}

/// A JPEG's tables, and what is left without them, each with start and end.
fn split_tables(jpeg: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut tables = vec![0xff, 0xd8];
    let mut rest = tables.clone();
    let mut at = 2;
    while jpeg[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let part = if matches!(jpeg[at + 1], 0xdb | 0xc4) { &mut tables } else { &mut rest };
        part.extend(&jpeg[at..end]);
        at = end;
    }
    tables.extend([0xff, 0xd9]);
    rest.extend(&jpeg[at..]);
    (tables, rest)
}

#[test]
fn jpegs_in_strips_and_tiles() {
    let image = common::image(32, 48, 4);
    let options = DecodeOptions::default();
    for factors in [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_0] {
        let parts: Vec<Vec<u8>> =
            image.as_raw().chunks(32 * 16 * 3).map(|part| jpeg(part, 32, 16, ColorType::Rgb, factors)).collect();
        let expected: Vec<u8> =
            parts.iter().flat_map(|part| decode_image(part.clone(), &options).unwrap().into_pixels()).collect();
        let tiff = Tiff { compression: JPEG, chunks: parts, rows_per_strip: 16, ..Tiff::new(32, 48, 6, 8, 3, vec![]) };
        assert_eq!(pixels(&tiff), expected);
        let (tables, rests): (Vec<_>, Vec<_>) = tiff.chunks.iter().map(|part| split_tables(part)).unzip();
        let shared = Tiff { jpeg_tables: tables[0].clone(), chunks: rests, ..tiff.clone() };
        assert_eq!(pixels(&shared), expected, "with the tables apart");
        let tiled = Tiff { tile: Some((32, 16)), height: 41, ..tiff };
        assert_eq!(pixels(&tiled), expected[..32 * 41 * 3], "the last tile cut off");
    }
}

#[test]
fn the_colours_of_a_jpeg_are_those_that_tiff_says() {
    let image = common::image(16, 16, 4);
    // Stored as it is: the marker of JFIF, which says YCbCr, is not to be believed.
    let stored = jpeg(image.as_raw(), 16, 16, ColorType::Ycbcr, SamplingFactor::R_4_4_4);
    let tiff = Tiff { compression: JPEG, ..Tiff::new(16, 16, 2, 8, 3, stored) };
    let near = |found: &[u8], expected: &[u8]| found.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) < 30);
    assert!(near(&pixels(&tiff), image.as_raw()));
    let dark: Vec<u8> = image.as_raw().iter().copied().step_by(3).collect();
    let stored = jpeg(&dark, 16, 16, ColorType::Luma, SamplingFactor::R_4_4_4);
    let light: Vec<u8> = dark.iter().map(|v| 255 - v).collect();
    for (colour, expected) in [(1, dark), (0, light)] {
        let tiff = Tiff { compression: JPEG, ..Tiff::new(16, 16, colour, 8, 1, stored.clone()) };
        assert!(near(&pixels(&tiff), &grey(&expected)), "colour {colour}");
    }
}

#[test]
fn what_is_not_read_is_said() {
    let refusal = |tiff: Tiff| decode(&tiff).unwrap_err().to_string();
    let plain = || Tiff::new(2, 1, 1, 8, 1, vec![1, 2]);
    let cases = [
        (Tiff { compression: 3, ..plain() }, "fax compression of group 3"),
        (Tiff { compression: 6, ..plain() }, "JPEG of the old kind (compression 6)"),
        (Tiff { compression: 50_000, ..plain() }, "Zstandard compression"),
        (Tiff::new(1, 1, 1, 32, 1, vec![0; 4]).with(339, &[3]), "floating-point samples of 32 bits"),
        (Tiff::new(1, 1, 1, 16, 1, vec![0; 4]).with(339, &[2]), "signed samples of 16 bits"),
        (Tiff::new(1, 1, 1, 12, 1, vec![0; 4]), "samples of 12 bits"),
        (Tiff::new(1, 1, 8, 8, 3, vec![0; 3]), "CIE L*a*b* colours"),
        (Tiff::new(1, 1, 2, 8, 11, vec![0; 11]), "11 samples a pixel, at most 8 are read"),
    ];
    for (tiff, reason) in cases {
        assert_eq!(refusal(tiff), format!("unsupported format: TIFF with {reason}"));
    }
    assert_eq!(refusal(Tiff::new(2, 4000, 1, 8, 1, vec![1, 2, 3])).split(':').next(), Some("cut short"));
    let large = Tiff { tile: Some((1 << 20, 1 << 20)), ..plain() };
    assert!(refusal(large).contains("are over the limit of 64000000 pixels"));
}

/// Rows of so many bits a sample, padded to whole bytes.
fn packed_rows(samples: &[u16], per_row: usize, bits: u64, big_endian: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for row in samples.chunks(per_row) {
        if bits == 16 {
            out.extend(row.iter().flat_map(|v| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() }));
            continue;
        }
        let mut bytes = vec![0u8; (per_row * bits as usize).div_ceil(8)];
        for (i, &sample) in row.iter().enumerate() {
            let from = i * bits as usize;
            bytes[from / 8] |= (sample as u8) << (8 - bits as usize - from % 8);
        }
        out.extend(bytes);
    }
    out
}

#[derive(Clone, Debug)]
struct Storage {
    bits: u64,
    samples: u64,
    planar: bool,
    tile: Option<(u64, u64)>,
    rows_per_strip: u64,
    compression: u64,
    differences: bool,
    big_endian: bool,
    big: bool,
}

fn storage() -> impl Strategy<Value = Storage> {
    let bits = prop::sample::select(vec![1u64, 2, 4, 8, 16]);
    let samples = prop::sample::select(vec![1u64, 3, 4]);
    let tile = prop::option::of(prop::sample::select(vec![(16u64, 16u64), (8, 16), (48, 32)]));
    let compression = prop::sample::select(vec![1, LZW, DEFLATE, PACK_BITS]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (bits, samples, tile, 1..9u64, compression, flags).prop_map(
        |(bits, samples, tile, rows_per_strip, compression, (planar, differences, big_endian, big))| {
            let differences = differences && bits >= 8 && [LZW, DEFLATE].contains(&compression);
            let planar = planar && samples > 1;
            Storage { bits, samples, planar, tile, rows_per_strip, compression, differences, big_endian, big }
        },
    )
}

/// The image of these samples, stored so.
fn store(storage: &Storage, width: usize, height: usize, sample: impl Fn(usize, usize, usize) -> u16) -> Tiff {
    let Storage { bits, samples, planar, tile, .. } = *storage;
    let (chunk_width, chunk_height) =
        tile.map_or((width, storage.rows_per_strip as usize), |(w, h)| (w as usize, h as usize));
    let planes: Vec<Vec<usize>> =
        if planar { (0..samples as usize).map(|c| vec![c]).collect() } else { vec![(0..samples as usize).collect()] };
    let mut chunks = Vec::new();
    for channels in &planes {
        for top in (0..height).step_by(chunk_height) {
            for left in (0..width).step_by(chunk_width) {
                let rows = if tile.is_some() { chunk_height } else { chunk_height.min(height - top) };
                let mut values = Vec::new();
                for y in top..top + rows {
                    for x in left..left + chunk_width {
                        values.extend(channels.iter().map(|&c| sample(x, y, c)));
                    }
                }
                let per_row = chunk_width * channels.len();
                if storage.differences {
                    for row in values.chunks_mut(per_row) {
                        for i in (channels.len()..row.len()).rev() {
                            row[i] = row[i].wrapping_sub(row[i - channels.len()]) & (u32::MAX >> (32 - bits)) as u16;
                        }
                    }
                }
                let data = packed_rows(&values, per_row, bits, storage.big_endian);
                chunks.push(compressed(&data, storage.compression));
            }
        }
    }
    let colour = if samples == 1 { 1 } else { 2 };
    let mut tiff = Tiff::new(width, height, colour, bits, samples, vec![]);
    tiff = Tiff { chunks, tile, rows_per_strip: storage.rows_per_strip, compression: storage.compression, ..tiff };
    tiff = Tiff { big_endian: storage.big_endian, big: storage.big, ..tiff };
    if planar {
        tiff = tiff.with(284, &[2]);
    }
    if storage.differences {
        tiff = tiff.with(317, &[2]);
    }
    tiff
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_storage_gives_the_same_pixels(storage in storage(), width in 1..40usize, height in 1..40usize, seed: u16) {
        let most = ((1u32 << storage.bits) - 1) as u16;
        let sample = |x: usize, y: usize, c: usize| (x * 977 + y * 4253 + c * 7919 + usize::from(seed)) as u16 & most;
        let shown = |v: u16| if storage.bits == 16 { (v >> 8) as u8 } else { (u32::from(v) * 255 / u32::from(most)) as u8 };
        let tiff = store(&storage, width, height, sample);
        let found = decode(&tiff).unwrap();
        prop_assert_eq!((found.width(), found.height()), (width, height));
        for (i, pixel) in found.pixels().chunks(3).enumerate() {
            let x = i % width;
            let y = i / width;
            let expected = [0, 1, 2].map(|c| shown(sample(x, y, if storage.samples == 1 { 0 } else { c })));
            prop_assert_eq!(pixel, &expected, "at {}, {}", x, y);
        }
    }

    #[test]
    fn changed_bytes_are_no_panic(
        storage in storage(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = store(&storage, 21, 19, |x, y, c| (x * y + c) as u16 & 1).bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let found = decode_image(bytes, &DecodeOptions { max_pixels: 1 << 20, ..DecodeOptions::default() });
        prop_assert!(!matches!(found, Err(BadImage::DecoderPanic(_))), "{found:?}");
    }
}
