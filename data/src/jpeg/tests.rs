use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;
use crate::decode::{DecodeOptions, Image, decode_square, resize_and_crop};

fn pixels(width: usize, height: usize, seed: u32) -> Vec<u8> {
    (0..width * height * 3)
        .map(|i| {
            let x = (i / 3 % width) as u32;
            let y = (i / 3 / width) as u32;
            let c = (i % 3) as u32;
            let noise = (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ seed).wrapping_mul(2_654_435_761);
            ((x * (c + 1) * 2 + y * 3 + seed % 97 + if (x + y).is_multiple_of(23) { 70 } else { 0 }) % 226
                + (noise >> 27)) as u8
        })
        .collect()
}

const SAMPLINGS: [SamplingFactor; 4] =
    [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2];

/// An encoded test image.
#[derive(Clone, Debug)]
struct TestImage {
    width: usize,
    height: usize,
    seed: u32,
    quality: u8,
    sampling: usize,
    restart: u16,
    is_grey: bool,
    mode: CodingMode,
}

/// Layout of the coded data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CodingMode {
    OneScan,
    ScanForEach,
    Progressive,
}

impl TestImage {
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.quality);
        encoder.set_sampling_factor(SAMPLINGS[self.sampling]);
        // With optimized tables the encoder writes a scan per component and cannot restart.
        encoder.set_restart_interval(if self.mode == CodingMode::ScanForEach { 0 } else { self.restart });
        encoder.set_optimized_huffman_tables(self.mode == CodingMode::ScanForEach);
        encoder.set_progressive(self.mode == CodingMode::Progressive);
        let pixels = pixels(self.width, self.height, self.seed);
        let (pixels, kind) = if self.is_grey {
            (&pixels[..self.width * self.height], ColorType::Luma)
        } else {
            (&pixels[..], ColorType::Rgb)
        };
        encoder.encode(pixels, self.width as u16, self.height as u16, kind).unwrap();
        bytes
    }
}

fn any_image(most: usize) -> impl Strategy<Value = TestImage> {
    let restart = prop_oneof![Just(0u16), 1..9u16];
    let mode = prop_oneof![Just(CodingMode::OneScan), Just(CodingMode::ScanForEach), Just(CodingMode::Progressive)];
    (1..most, 1..most, any::<u32>(), 1..=100u8, 0..4usize, restart, prop::bool::weighted(0.1), mode).prop_map(
        |(width, height, seed, quality, sampling, restart, is_grey, mode)| TestImage {
            width,
            height,
            seed,
            quality,
            sampling,
            restart,
            is_grey,
            mode,
        },
    )
}

fn plain(width: usize, height: usize) -> TestImage {
    TestImage {
        width,
        height,
        seed: 3,
        quality: 92,
        sampling: 3,
        restart: 0,
        is_grey: false,
        mode: CodingMode::OneScan,
    }
}

fn whole(jpeg: &Jpeg<'_>) -> Region {
    Region { rows: 0..jpeg.height(), columns: 0..jpeg.width() }
}

/// Inserts a run of fill bytes before each marker after the first, with lengths cycling through `runs`.
fn filled(data: &[u8], runs: &[usize]) -> Vec<u8> {
    let mut runs = runs.iter().cycle().copied();
    let mut out = data[..2].to_vec();
    let mut at = 2;
    let fill = |out: &mut Vec<u8>, run: Option<usize>| out.resize(out.len() + run.unwrap_or(0), 0xff);
    loop {
        fill(&mut out, runs.next());
        let end = at + 2 + usize::from(u16::from_be_bytes([data[at + 2], data[at + 3]]));
        out.extend(&data[at..end]);
        let marker = data[at + 1];
        at = end;
        if marker == 0xda {
            break;
        }
    }
    for pair in data[at..].windows(2) {
        if pair[0] == 0xff && pair[1] != 0 {
            fill(&mut out, runs.next());
        }
        out.push(pair[0]);
    }
    out.push(0xd9);
    out
}

const LIMITS: Limits = Limits { pixels: 1 << 20, scans: 100 };

fn decoded(data: &[u8]) -> Result<Vec<u8>, String> {
    let jpeg = Jpeg::new(data, &LIMITS).map_err(|e| e.to_string())?;
    let mut out = vec![0; jpeg.width() * jpeg.height() * 3];
    let done = jpeg.decode(&whole(&jpeg), ReadExtent::WholeFile, &mut out, 3 * jpeg.width());
    done.map(|()| out).map_err(|e| e.to_string())
}

fn max_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_part_is_the_part_of_the_whole(image in any_image(60), part in prop::array::uniform4(0.0..1.0f64), is_whole: bool) {
        let data = image.encoded();
        let all = decoded(&data).unwrap();
        let range = |a: f64, b: f64, side: usize| {
            let a = (a * side as f64) as usize;
            let b = (b * side as f64) as usize;
            a.min(b)..a.max(b)
        };
        let region = Region { rows: range(part[0], part[1], image.height), columns: range(part[2], part[3], image.width) };
        let stride = 3 * region.columns.len() + 2;
        let mut out = vec![9; stride * region.rows.len()];
        let extent = if is_whole { ReadExtent::WholeFile } else { ReadExtent::UntilRegionEnd };
        Jpeg::new(&data, &LIMITS).unwrap().decode(&region, extent, &mut out, stride).unwrap();
        for (y, out) in region.rows.zip(out.chunks_exact(stride)) {
            let at = 3 * (y * image.width + region.columns.start);
            prop_assert_eq!(&out[..stride - 2], &all[at..at + stride - 2]);
        }
    }

    /// Fill bytes may precede any marker: after a segment, a restart interval, or the image.
    #[test]
    fn fill_bytes_do_not_count(image in any_image(50), runs in prop::collection::vec(0..600usize, 1..9)) {
        let data = image.encoded();
        let filled = filled(&data, &runs);
        let all = decoded(&filled);
        prop_assert!(all.is_ok());
        prop_assert_eq!(all, decoded(&data));
        let jpeg = Jpeg::new(&filled, &LIMITS).unwrap();
        let region = Region { rows: 0..image.height.div_ceil(2), columns: 0..image.width };
        let mut shown = vec![0; 3 * image.width * image.height.div_ceil(2)];
        jpeg.decode(&region, ReadExtent::UntilRegionEnd, &mut shown, 3 * image.width).unwrap();
        prop_assert_eq!(&shown[..], &decoded(&data).unwrap()[..shown.len()]);
    }

    /// A square decoded from its region equals that of the whole image, up to rounding.
    #[test]
    fn squares_are_those_of_whole_images(image in any_image(90), size in 1..48usize) {
        let data = image.encoded();
        let all = Image::new(image.width, image.height, decoded(&data).unwrap()).unwrap();
        let expected = resize_and_crop(&all, size).unwrap();
        let found = decode_square(data, size, &DecodeOptions::default()).unwrap();
        prop_assert!(max_difference(found.pixels(), expected.pixels()) <= 1);
    }

    /// Chroma of half resolution is interpolated: three quarters of the nearest value, one quarter of the next.
    #[test]
    fn colours_are_interpolated(
        values in prop::collection::vec(any::<[u8; 2]>(), 3..40),
        width in 0..2usize, start in 0..9usize, odd: bool, both: bool,
    ) {
        let [near, far] = [0, 1].map(|i| values.iter().map(|v| v[i]).collect::<Vec<u8>>());
        let width = 2 * near.len() - width;
        let columns = start.min(width - 1)..width;
        let (axis, _) = upsample::Axis::pair(width, 8, 2, 1);
        let mut rows = upsample::Upsampler::default();
        let far_row = both.then_some(&far[..]);
        rows.fill(&upsample::UpsampleInput { near: &near, far: far_row, y: usize::from(odd), first: 0, axis: &axis, columns: &columns });
        let down = |i: usize| {
            if both { f64::from(near[i]) * 0.75 + f64::from(far[i]) * 0.25 } else { f64::from(near[i]) }
        };
        for (x, &found) in columns.zip(rows.values()) {
            let i = x / 2;
            let next = if x.is_multiple_of(2) { i.saturating_sub(1) } else { (i + 1).min(near.len() - 1) };
            let plain = down(i) * 0.75 + down(next) * 0.25;
            prop_assert!((f64::from(found) - plain).abs() < 0.76, "{x}: {found} for {plain}");
        }
    }
}

#[test]
fn parts_of_another_size_are_refused() {
    let data = plain(40, 40).encoded();
    let mut out = vec![0; 41 * 41 * 3];
    let region = Region { rows: 0..40, columns: 0..40 };
    let error = decode_region(&data, 41, &region, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "damaged: 40 x 40 pixels, expected 41 x 41");
}

/// Files any decoder supports are stored as is, without trailing bytes.
#[test]
fn plain_files_are_whole_and_regular() {
    let kept = |data: &[u8]| Jpeg::new(data, &LIMITS).unwrap().storable_file().map(<[u8]>::len);
    for mode in [CodingMode::OneScan, CodingMode::ScanForEach, CodingMode::Progressive] {
        let data = TestImage { mode, restart: 2, ..plain(40, 40) }.encoded();
        assert_eq!(kept(&data), Some(data.len()), "{mode:?}");
        assert_eq!(kept(&[&data, &b"more"[..]].concat()), Some(data.len()), "{mode:?}");
        assert_eq!(kept(&data[..data.len() - 2]), None, "{mode:?} without an end marker");
        assert_eq!(kept(&[&data[..2], b"strays", &data[2..]].concat()), None, "{mode:?}");
        // After a single scan only the end marker is searched.
        let commented = [&data[..data.len() - 2], b"\xff\xfe\0\x02\xff\xd9"].concat();
        let expected = (mode != CodingMode::OneScan).then_some(commented.len());
        assert_eq!(kept(&commented), expected, "{mode:?}");
    }
}

#[test]
fn missing_data_are_seen() {
    for mode in [CodingMode::OneScan, CodingMode::ScanForEach, CodingMode::Progressive] {
        for restart in [0, 2] {
            let data = TestImage { restart, mode, ..plain(40, 40) }.encoded();
            assert!(decoded(&data[..data.len() - 2]).is_ok(), "no end marker");
            let cut = [&data[..data.len() - 3], &data[data.len() - 2..]].concat();
            assert_eq!(decoded(&cut), Err("cut short: its data ends before its last pixel".into()), "{mode:?}");
        }
        if mode == CodingMode::ScanForEach {
            continue;
        }
        // A restart marker changed, and one removed.
        let data = TestImage { restart: 1, mode, ..plain(40, 40) }.encoded();
        let at = data.windows(2).position(|pair| pair == [0xff, 0xd3]).unwrap();
        let mut changed = data.clone();
        changed[at + 1] = 0xd4;
        let wrong = Err("damaged: a restart marker is missing or out of order".into());
        assert_eq!(decoded(&changed), wrong, "{mode:?}");
        assert_eq!(decoded(&[&data[..at], &data[at + 2..]].concat()), wrong, "{mode:?}");
    }
}

/// The coefficients of a large progressive image are freed while its pixels are made; chroma is interpolated
/// vertically.
#[test]
fn large_progressive_images_are_whole() {
    let sequential = TestImage { sampling: 2, ..plain(2000, 4400) };
    let progressive = TestImage { mode: CodingMode::Progressive, ..sequential.clone() };
    let region = Region { rows: 27..4399, columns: 3..1990 };
    let [expected, found] = [sequential, progressive].map(|image| {
        let data = image.encoded();
        let jpeg = Jpeg::new(&data, &Limits { pixels: 1 << 24, ..LIMITS }).unwrap();
        let mut out = vec![0; 3 * region.columns.len() * region.rows.len()];
        jpeg.decode(&region, ReadExtent::WholeFile, &mut out, 3 * region.columns.len()).unwrap();
        out
    });
    assert!(expected == found);
}
