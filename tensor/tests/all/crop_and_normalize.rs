//! Crops of stored images against plain loops.

use std::sync::Arc;

use alexnet_tensor::ndarray::Array3;
use alexnet_tensor::ops::{CropAndNormalize, CropParams, InputTransform, Mean};
use alexnet_tensor::{Cpu, Device, DeviceImages, Element, HostImages};
use proptest::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
struct Case {
    count: usize,
    size: usize,
    settings: CropAndNormalize,
    crops: Vec<CropParams>,
    seed: u64,
}

prop_compose! {
    fn cases()(count in 1usize..4, crop in 1usize..12, margin in 0usize..6, bgr in any::<bool>(), with_image in any::<bool>(),
               scale in 0.1f32..2.0, deviation in prop::option::of([0.5f32..2.0, -9.0f32..-1.0, 0.4f32..3.0]),
               rgb in [-3f32..3.0, -3f32..3.0, -3f32..3.0], seed in any::<u64>())
        (crops in prop::collection::vec((0..count as u32, 0..=margin as u32, 0..=margin as u32, any::<bool>(),
                                         [-9f32..9.0, -9f32..9.0, -9f32..9.0], 0.5f32..1.0), 0..5),
         settings in Just(CropAndNormalize { crop, bgr, scale, mean: Mean::Rgb(rgb), deviation }), count in Just(count),
         size in Just(crop + margin), with_image in Just(with_image), seed in Just(seed)) -> Case {
        let params = |(image, top, left, mirror, shift, damping)| CropParams { image, top, left, mirror, shift, damping };
        let crops = crops.into_iter().map(params).collect();
        let mean = if with_image { Mean::Image(mean_image(seed, size)) } else { settings.mean.clone() };
        Case { count, size, settings: CropAndNormalize { mean, ..settings }, crops, seed }
    }
}

fn mean_image(seed: u64, size: usize) -> Array3<f32> {
    let values = values(seed, size * size * 3).iter().map(|v| *v as f32).collect();
    Array3::from_shape_vec((size, size, 3), values).expect("as many values")
}

/// The output by the formula.
fn expected(case: &Case, pixels: &[u8]) -> Vec<f64> {
    let size = case.size;
    let crop = case.settings.crop;
    let mut values = Vec::new();
    for params in &case.crops {
        for (row, column, channel) in (0..crop * crop * 3).map(|i| (i / (3 * crop), i / 3 % crop, i % 3)) {
            let colour = if case.settings.bgr { 2 - channel } else { channel };
            let column = if params.mirror { crop - 1 - column } else { column };
            let position = [params.top as usize + row, params.left as usize + column, colour];
            let byte = (position[0] * size + position[1]) * 3 + colour;
            let pixel = f64::from(pixels[params.image as usize * size * size * 3 + byte]);
            let mean = match &case.settings.mean {
                Mean::None => 0.0,
                Mean::Rgb(rgb) => rgb[colour],
                Mean::Image(image) => image[position],
            };
            let shifted = (pixel + f64::from(params.shift[colour])) * f64::from(case.settings.scale);
            let deviation = case.settings.deviation.map_or(1.0, |deviation| f64::from(deviation[colour]));
            values.push((shifted - f64::from(mean)) / deviation * f64::from(params.damping));
        }
    }
    values
}

fn transformed<E: Element>(cpu: &Cpu<E>, case: &Case, pixels: &[u8]) -> Vec<f64> {
    let images = DeviceImages::from_bytes(cpu, case.size, pixels).expect("whole images");
    let transform = InputTransform::new(cpu, &case.settings).expect("a mean image");
    let input = transform.apply(&images, &case.crops).expect("crops within the images");
    assert_eq!(input.shape(), [case.crops.len(), case.settings.crop, case.settings.crop, 3]);
    host(&input)
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn values_follow_the_formula(case in cases()) {
        let pixels = bytes(case.seed, case.count * case.size * case.size * 3);
        let expected = expected(&case, &pixels);
        // Factor and offset of a crop are single precision on every backend: up to 1500 each, and may cancel.
        let tolerance = 1e-6 * 1500.0;
        for got in [transformed(cpu64(), &case, &pixels), transformed(cpu32(), &case, &pixels)] {
            prop_assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(&expected) {
                prop_assert!((got - expected).abs() <= tolerance, "got {}, expected {}", got, expected);
            }
        }
    }
}

#[derive(Debug)]
struct Records(Vec<Vec<u8>>);

impl HostImages for Records {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn image(&self, index: usize) -> &[u8] {
        &self.0[index]
    }
}

#[test]
fn bytes_are_uploaded_in_little_endian_words() {
    for len in 0..9u8 {
        let bytes: Vec<u8> = (0..len).map(|b| b + 0xf0).collect();
        let images = Records(bytes.chunks(3).map(<[u8]>::to_vec).collect());
        let words = cpu32().upload_images(&images).unwrap();
        let words = cpu32().download_ints(&words).unwrap();
        assert_eq!(words.len(), bytes.len().div_ceil(4));
        let mut back: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert!(back[bytes.len()..].iter().all(|&b| b == 0), "filled up with {back:?}");
        back.truncate(bytes.len());
        assert_eq!(back, bytes);
    }
}

#[test]
fn the_cpu_reads_images_where_they_are() {
    let cpu = cpu32();
    let images: Arc<dyn HostImages> = Arc::new(Records(vec![vec![3; 12], vec![7; 12]]));
    let on_device = DeviceImages::new(cpu, 2, Arc::clone(&images)).unwrap();
    assert_eq!((on_device.len(), Arc::strong_count(&images)), (2, 2));
    let transform = InputTransform::new(cpu, &CropAndNormalize::crop_only(1)).unwrap();
    let input = transform.apply(&on_device, &[CropParams::new(1, 1, 0, false)]).unwrap();
    assert_eq!(input.to_vec().unwrap(), [7.0; 3]);
}

#[test]
fn invalid_sizes_and_crops_are_refused() {
    let cpu = cpu32();
    assert_argument_error(DeviceImages::from_bytes(cpu, 4, &[0; 47]), "expected whole images");
    assert_argument_error(DeviceImages::from_bytes(cpu, 0, &[]), "expected whole images");
    assert_shape_error(DeviceImages::from_bytes(cpu, usize::MAX, &[0; 3]), "images");
    let records = Arc::new(Records(vec![vec![0; 48], vec![0; 47]]));
    assert_argument_error(
        DeviceImages::new(cpu, 4, records),
        "expected images of 4 x 4 x 3 bytes, got one of 47 bytes",
    );
    let images = DeviceImages::from_bytes(cpu, 4, &[0; 96]).unwrap();
    assert_eq!((images.len(), images.size(), images.is_empty()), (2, 4, false));
    let apply = |settings: CropAndNormalize, crops: &[CropParams]| {
        InputTransform::new(cpu, &settings).unwrap().apply(&images, crops)
    };
    for crop in [0, 5] {
        assert_argument_error(apply(CropAndNormalize::crop_only(crop), &[]), "the crop must be 1 to 4");
    }
    let fits = CropParams::new(1, 1, 1, true);
    for (image, left, top) in [(2, 0, 0), (0, 2, 0), (0, 0, u32::MAX)] {
        let crops = [fits, CropParams::new(image, left, top, false)];
        assert_argument_error(apply(CropAndNormalize::crop_only(3), &crops), "within 2 images of 4 x 4");
    }
    let mean = Mean::Image(Array3::zeros((4, 3, 3)));
    let message = error_message(apply(CropAndNormalize { mean, ..CropAndNormalize::crop_only(3) }, &[]));
    assert!(message.contains("a mean image of 4 x 4 x 3"), "{message}");
}
