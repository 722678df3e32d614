use image::codecs::jpeg::JpegEncoder;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;
use crate::picture::{DecodeOptions, decode_picture};

fn pixels(size: usize, seed: u32) -> Vec<u8> {
    (0..size * size * 3)
        .map(|i| {
            let (x, y, c) = ((i / 3 % size) as u32, (i / 3 / size) as u32, (i % 3) as u32);
            let noise = (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ seed).wrapping_mul(2_654_435_761);
            ((x * (c + 1) * 2 + y * 3 + seed % 97 + if (x + y) % 23 == 0 { 70 } else { 0 }) % 226 + (noise >> 27)) as u8
        })
        .collect()
}

/// As packs are written.
fn encoded(size: usize, seed: u32, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    let mut encoder = encoder;
    encoder.encode(&pixels(size, seed), size as u32, size as u32, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn whole(size: usize) -> Region {
    Region { rows: 0..size, columns: 0..size }
}

fn decoded(data: &[u8], size: usize) -> Result<Vec<u8>, Failure> {
    let mut out = vec![0; size * size * 3];
    decode(data, size, &whole(size), &mut out).map(|()| out)
}

/// Largest difference to the other decoder's values: both round the transform to within 1, and colours amplify that.
const APART: u8 = 4;

fn assert_near(data: &[u8], size: usize) {
    let found = decoded(data, size).unwrap();
    let other = decode_picture(data.to_vec(), &DecodeOptions::default()).unwrap();
    let apart = found.iter().zip(other.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(apart <= APART, "{apart} apart");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pictures_are_those_of_the_other_decoder(size in 1..70usize, seed: u32, quality in 1..=100u8) {
        assert_near(&encoded(size, seed, quality), size);
    }

    #[test]
    fn a_part_is_the_part_of_the_whole(
        seed: u32, left in 0..40usize, top in 0..40usize, width in 0..20usize, height in 0..20usize,
    ) {
        let data = encoded(60, seed, 90);
        let all = decoded(&data, 60).unwrap();
        let region = Region { rows: top..top + height, columns: left..left + width };
        let mut out = vec![9; all.len()];
        decode(&data, 60, &region, &mut out).unwrap();
        for y in region.rows {
            let row = 3 * (y * 60 + left)..3 * (y * 60 + left + width);
            prop_assert_eq!(&out[row.clone()], &all[row]);
        }
    }

    /// Whatever the bytes, it ends, with pixels or without.
    #[test]
    fn damage_does_no_harm(seed: u32, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), cuts: bool) {
        let mut data = encoded(24, seed, 80);
        for (at, value) in changes {
            let at = at.index(data.len());
            data[at] = value;
        }
        if cuts {
            data.truncate(cut.index(data.len()));
        }
        let _ = decoded(&data, 24);
    }
}

#[test]
fn restarts_and_grey_are_read_and_the_rest_is_left() {
    let encode = |change: &dyn Fn(&mut Encoder<&mut Vec<u8>>), grey: bool| {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 92);
        encoder.set_sampling_factor(SamplingFactor::F_1_1);
        change(&mut encoder);
        let all = pixels(40, 3);
        let (data, kind) = if grey { (&all[..1600], ColorType::Luma) } else { (&all[..], ColorType::Rgb) };
        encoder.encode(data, 40, 40, kind).unwrap();
        bytes
    };
    assert_near(&encode(&|_| (), false), 40);
    assert_near(&encode(&|e| e.set_restart_interval(3), false), 40);
    assert_near(&encode(&|_| (), true), 40);
    let left = |data: &[u8]| assert_eq!(decoded(data, 40), Err(Failure::Other));
    left(&encode(&|e| e.set_progressive(true), false));
    // A scan a component.
    left(&encode(&|e| e.set_optimized_huffman_tables(true), false));
    left(&encode(&|e| e.set_sampling_factor(SamplingFactor::F_2_2), false));
    let usual = encode(&|_| (), false);
    assert_eq!(decoded(&usual, 41), Err(Failure::Other));
    left(&usual[..usual.len() / 2]);
    left(b"not a picture");
    left(&[]);
}
