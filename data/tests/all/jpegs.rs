//! JPEG pixels against libjpeg-turbo in every supported form, and malformed files.

use alexnet_data::{BadImage, DecodeOptions, Image, decode_image, decode_square, resize_and_crop};
use proptest::prelude::*;

use crate::common::jpegs::{SAMPLES, Sample, crc32, segment};

fn decode(bytes: &[u8]) -> Result<Image, BadImage> {
    decode_image(bytes.to_vec(), &DecodeOptions::default())
}

fn refusal(bytes: &[u8]) -> String {
    decode(bytes).unwrap_err().to_string()
}

/// Three components, interleaved in one scan, with a JFIF marker.
fn baseline() -> &'static Sample {
    let is_plain =
        |s: &&Sample| segment(&s.jpeg, 0xc0).is_some_and(|(at, _)| s.jpeg[at + 9] == 3 && s.jpeg[at + 11] == 0x22);
    let is_whole = |s: &&Sample| segment(&s.jpeg, 0xda).is_some_and(|(at, _)| s.jpeg[at + 4] == 3);
    SAMPLES.iter().filter(is_plain).filter(is_whole).find(|s| s.width > 16 && s.height > 16).unwrap()
}

/// Four components, written by Pillow.
fn cmyk() -> &'static Sample {
    SAMPLES.iter().find(|s| segment(&s.jpeg, 0xee).is_some_and(|(at, _)| s.jpeg[at + 15] == 0)).unwrap()
}

/// Inserts bytes before each segment after the first marker, up to the first scan.
fn with_strays(jpeg: &[u8], strays: &[u8]) -> Vec<u8> {
    let mut out = jpeg[..2].to_vec();
    let mut at = 2;
    loop {
        out.extend(strays);
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        out.extend(&jpeg[at..end]);
        if jpeg[at + 1] == 0xda {
            out.extend(&jpeg[end..]);
            return out;
        }
        at = end;
    }
}

/// Inserts a segment after the start marker.
fn with_segment(jpeg: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, body, &jpeg[2..]].concat()
}

/// Changes one byte of the first segment of this kind, counted from its marker.
fn changed(jpeg: &[u8], marker: u8, place: usize, value: u8) -> Vec<u8> {
    let (at, _) = segment(jpeg, marker).unwrap();
    let mut out = jpeg.to_vec();
    out[at + place] = value;
    out
}

#[test]
fn pixels_are_those_of_libjpeg_turbo() {
    assert!(SAMPLES.len() > 350);
    for (number, sample) in SAMPLES.iter().enumerate() {
        let found = decode(&sample.jpeg).unwrap_or_else(|e| panic!("file {number}: {e}"));
        assert_eq!((found.width(), found.height()), (sample.width, sample.height), "file {number}");
        assert_eq!(crc32(found.pixels()), sample.crc, "file {number}");
    }
}

#[test]
fn bytes_between_segments_are_passed_over() {
    let Sample { jpeg, crc, .. } = baseline();
    for strays in [&b"\0"[..], b"random", b"\xff\0\xff\0", b"\xff\xff\xff", b"\x12\xff\0\xff\xd3\xff\x01"] {
        assert_eq!(crc32(decode(&with_strays(jpeg, strays)).unwrap().pixels()), *crc, "{strays:?}");
    }
}

#[test]
fn what_stands_behind_the_scan_does_not_count() {
    let Sample { jpeg, crc, .. } = baseline();
    let scan = &jpeg[..jpeg.len() - 2];
    // A number of rows that was said already, a restart that starts nothing, a comment, other bytes.
    for after in [&b"\xff\xdc\0\x04\0\x11"[..], b"\xff\xd3", b"\xff\xfe\0\x04hi", b"\0\0\0", b"\xff\0\xff\xfe"] {
        for end in [&b"\xff\xd9"[..], b"", b"\xff\xd9\xff\xd8\xff"] {
            let bytes = [scan, after, end].concat();
            assert_eq!(crc32(decode(&bytes).unwrap().pixels()), *crc, "{after:?} {end:?}");
        }
    }
}

#[test]
fn short_markers_of_adobe_and_jfif_do_not_count() {
    let Sample { jpeg, crc, .. } = baseline();
    // Eleven bytes, the last of which would say that it is RGB.
    let (start, end) = segment(jpeg, 0xe0).unwrap();
    let bare = [&jpeg[..start], &jpeg[end..]].concat();
    for (marker, body) in [(0xee, &b"Adobe\0\x64\0\0\0\0"[..]), (0xe0, b"JFIF\0\x01\x01"), (0xee, b"Adob"), (0xe1, b"")]
    {
        assert_eq!(crc32(decode(&with_segment(&bare, marker, body)).unwrap().pixels()), *crc, "{marker:x}");
    }
    let rgb = with_segment(&bare, 0xee, b"Adobe\0\x64\0\0\0\0\0");
    assert_ne!(crc32(decode(&rgb).unwrap().pixels()), *crc, "twelve bytes say it");
}

#[test]
fn components_may_have_the_same_number() {
    let Sample { jpeg, crc, .. } = baseline();
    let mut same = jpeg.clone();
    let frame = segment(jpeg, 0xc0).unwrap().0;
    let scan = segment(jpeg, 0xda).unwrap().0;
    for component in 0..3 {
        same[frame + 10 + 3 * component] = 1;
        same[scan + 5 + 2 * component] = 1;
    }
    assert_eq!(crc32(decode(&same).unwrap().pixels()), *crc);
}

#[test]
fn a_sequential_scan_holds_all_coefficients_whatever_it_says() {
    let Sample { jpeg, crc, .. } = baseline();
    for (first, last, bits) in [(0, 64, 0), (0, 255, 0), (70, 3, 0x21), (1, 5, 0)] {
        let bytes = changed(&changed(&changed(jpeg, 0xda, 11, first), 0xda, 12, last), 0xda, 13, bits);
        assert_eq!(crc32(decode(&bytes).unwrap().pixels()), *crc, "{first} {last} {bits}");
    }
}

#[test]
fn missing_huffman_tables_are_those_of_the_standard() {
    // As of Motion JPEG: `cjpeg` without restarts or scripts, at most qualities, writes them.
    let Sample { jpeg, crc, .. } = baseline();
    let mut bare = jpeg.clone();
    while let Some((start, end)) = segment(&bare, 0xc4) {
        bare.drain(start..end);
    }
    assert_eq!(crc32(decode(&bare).unwrap().pixels()), *crc);
}

#[test]
fn quantisers_may_have_16_bits() {
    let Sample { jpeg, crc, .. } = baseline();
    let (start, end) = segment(jpeg, 0xdb).unwrap();
    let wide = jpeg[start + 5..start + 69].iter().flat_map(|&value| [0, value]);
    let body: Vec<u8> =
        [0x10 | jpeg[start + 4]].into_iter().chain(wide).chain(jpeg[start + 69..end].iter().copied()).collect();
    let bytes = [&with_segment(&jpeg[..start], 0xdb, &body)[..], &jpeg[end..]].concat();
    assert_eq!(crc32(decode(&bytes).unwrap().pixels()), *crc);
}

#[test]
fn cmyk_is_stored_inverted_with_adobes_marker_or_without() {
    let Sample { jpeg, crc, .. } = cmyk();
    let (start, end) = segment(jpeg, 0xee).unwrap();
    let bare = [&jpeg[..start], &jpeg[end..]].concat();
    assert_eq!(crc32(decode(&bare).unwrap().pixels()), *crc);
}

#[test]
fn what_is_not_read_is_refused_with_the_reason() {
    let jpeg = &baseline().jpeg;
    let framed = |marker: u8| changed(jpeg, 0xc0, 1, marker);
    assert_eq!(refusal(&framed(0xc9)), "unsupported format: arithmetic-coded JPEG");
    assert_eq!(refusal(&framed(0xc3)), "unsupported format: lossless JPEG");
    assert_eq!(refusal(&framed(0xc5)), "unsupported format: hierarchical JPEG");
    assert_eq!(refusal(&framed(0xf7)), "unsupported format: JPEG-LS");
    assert_eq!(refusal(&changed(jpeg, 0xc0, 4, 12)), "unsupported format: JPEG of 12 bits a sample");
    assert_eq!(
        refusal(&changed(&changed(jpeg, 0xc0, 11, 0x31), 0xc0, 14, 0x21)),
        "unsupported format: JPEG with a colour sampled 2x1 beside one of 3x1, which is no whole ratio"
    );
    assert_eq!(refusal(&changed(jpeg, 0xc0, 11, 0x51)), "damaged: a colour sampled 5x1, expected 1 to 4");
    assert_eq!(
        refusal(&changed(jpeg, 0xc0, 11, 0x44)),
        "damaged: an interleaved scan of 18 blocks a unit, expected at most 10"
    );
    assert_eq!(refusal(&changed(jpeg, 0xc0, 12, 3)), "damaged: quantiser 3 is missing");
    assert_eq!(refusal(&changed(jpeg, 0xda, 6, 0x33)), "damaged: a Huffman table is missing");
    assert_eq!(refusal(&changed(jpeg, 0xda, 5, 9)), "damaged: a scan header that does not fit the frame");
    assert_eq!(refusal(&with_segment(jpeg, 0xf0, b"")), "damaged: a segment of unknown kind, ff f0");
    assert_eq!(refusal(&with_segment(jpeg, 0xd8, b"")), "damaged: a second start marker");
    // More codes of one bit than there are.
    assert_eq!(refusal(&changed(jpeg, 0xc4, 5, 3)), "damaged: a Huffman table that does not fit its segment");
    let cut = |at: usize| refusal(&jpeg[..at]);
    assert_eq!(cut(2), "cut short: it ends before the frame header that says its size");
    assert_eq!(cut(segment(jpeg, 0xda).unwrap().0), "cut short: it ends before the first scan");
    assert_eq!(cut(jpeg.len() - 9), "cut short: its data ends before its last pixel");
}

#[test]
fn codes_of_ones_only_are_none() {
    // Two codes of one bit, the second of which is all ones.
    let table: Vec<u8> = [&[0, 2][..], &[0; 15], &[0, 1]].concat();
    let jpeg = &baseline().jpeg;
    let (scan, _) = segment(jpeg, 0xda).unwrap();
    let bytes = [&jpeg[..scan], &[0xff, 0xc4, 0, 21], &table, &jpeg[scan..]].concat();
    assert_eq!(refusal(&bytes), "damaged: a Huffman table that is no tree of codes");
}

#[test]
fn a_colour_comes_once_in_sequential_files() {
    let scans = |s: &&Sample| {
        segment(&s.jpeg, 0xc0).is_some() && segment(&s.jpeg, 0xda).is_some_and(|(at, _)| s.jpeg[at + 4] == 1)
    };
    let Sample { jpeg, .. } = SAMPLES
        .iter()
        .filter(scans)
        .find(|s| segment(&s.jpeg, 0xc0).is_some_and(|(at, _)| s.jpeg[at + 9] == 3))
        .unwrap();
    let (start, _) = segment(jpeg, 0xda).unwrap();
    let next = start
        + 2
        + jpeg[start + 2..].windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xd0..=0xd7)).unwrap();
    let twice = [&jpeg[..next], &jpeg[start..]].concat();
    assert_eq!(refusal(&twice), "damaged: two scans of one colour");
    let missing = [&jpeg[..next], &[0xff, 0xd9]].concat();
    assert_eq!(refusal(&missing), "cut short: scans of 2 of 3 colours are missing");
}

#[test]
fn scans_that_refine_are_missed_by_that_name() {
    let last = |s: &Sample| s.jpeg.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let refines = |s: &&Sample| {
        let at = last(s);
        segment(&s.jpeg, 0xc2).is_some() && s.jpeg[at + 4] == 1 && s.jpeg[at + 9] >> 4 > 0
    };
    let sample = SAMPLES.iter().find(refines).unwrap();
    let cut = [&sample.jpeg[..last(sample)], &[0xff, 0xd9]].concat();
    let message = refusal(&cut);
    assert!(message.starts_with("cut short: scans that refine 1 of "), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = SAMPLES[sample.index(SAMPLES.len())].jpeg.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        match decode(&bytes) {
            Ok(found) => prop_assert_eq!(found.pixels().len(), found.width() * found.height() * 3),
            Err(error) => prop_assert!(!matches!(error, BadImage::DecoderPanic(_)), "{}", error),
        }
    }

    /// A square decoded from its region equals that of the whole image, up to rounding.
    #[test]
    fn squares_are_those_of_whole_images(sample in any::<prop::sample::Index>(), size in 1..48usize) {
        let jpeg = &SAMPLES[sample.index(SAMPLES.len())].jpeg;
        let expected = resize_and_crop(&decode(jpeg).unwrap(), size).unwrap();
        let found = decode_square(jpeg.clone(), size, &DecodeOptions::default()).unwrap();
        let apart = found.pixels().iter().zip(expected.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
        prop_assert!(apart <= Some(1));
    }
}

#[test]
fn files_cut_at_any_byte_are_refused_or_whole() {
    // One of each 40, which are of all kinds.
    for (number, Sample { jpeg, crc, .. }) in SAMPLES.iter().enumerate().step_by(41) {
        for at in 0..jpeg.len() {
            for end in [&b""[..], b"\xff\xd9"] {
                if let Ok(found) = decode(&[&jpeg[..at], end].concat()) {
                    assert_eq!(crc32(found.pixels()), *crc, "half of file {number} cut at {at} of {}", jpeg.len());
                }
            }
        }
    }
}
