//! Crops of stored images against plain loops.

use alexnet_tensor::ops::{Prepare, RawImages, View};
use alexnet_tensor::{Cpu, Device, Element, Tensor};
use proptest::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
struct Case {
    count: usize,
    size: usize,
    spec: Prepare,
    views: Vec<View>,
    mean_image: bool,
    seed: u64,
}

prop_compose! {
    fn cases()(count in 1usize..4, crop in 1usize..12, margin in 0usize..6, bgr in any::<bool>(), mean_image in any::<bool>(),
               factor in [0.1f32..2.0, -1.0f32..-0.1, 0.5f32..3.0], mean in [-3f32..3.0, -3f32..3.0, -3f32..3.0], seed in any::<u64>())
        (views in prop::collection::vec((0..count as u32, 0..=margin as u32, 0..=margin as u32, any::<bool>(),
                                         [-9f32..9.0, -9f32..9.0, -9f32..9.0], 0.5f32..1.0), 0..5),
         spec in Just(Prepare { crop, bgr, factor, mean }), count in Just(count), size in Just(crop + margin),
         mean_image in Just(mean_image), seed in Just(seed)) -> Case {
        let view = |(image, top, left, mirror, shift, damping)| View { image, top, left, mirror, shift, damping };
        Case { count, size, spec, views: views.into_iter().map(view).collect(), mean_image, seed }
    }
}

/// The output by the formula.
fn expected(case: &Case, pixels: &[u8], mean: &[f64]) -> Vec<f64> {
    let size = case.size;
    let crop = case.spec.crop;
    let mut values = Vec::new();
    for view in &case.views {
        for (row, column, channel) in (0..crop * crop * 3).map(|i| (i / (3 * crop), i / 3 % crop, i % 3)) {
            let colour = if case.spec.bgr { 2 - channel } else { channel };
            let column = if view.mirror { crop - 1 - column } else { column };
            let place = ((view.top as usize + row) * size + view.left as usize + column) * 3 + colour;
            let pixel = f64::from(pixels[view.image as usize * size * size * 3 + place]);
            let shifted = (pixel + f64::from(view.shift[colour])) * f64::from(case.spec.factor[colour]);
            let mean = f64::from(case.spec.mean[colour]) + if case.mean_image { mean[place] } else { 0.0 };
            values.push((shifted - mean) * f64::from(view.damping));
        }
    }
    values
}

fn prepared<E: Element>(cpu: &Cpu<E>, case: &Case, pixels: &[u8], mean: &[f64]) -> Vec<f64> {
    let raw = RawImages::upload(cpu, case.size, pixels).expect("whole images");
    let mean = case.mean_image.then(|| tensor_on(cpu, &[case.size, case.size, 3], mean));
    let images = raw.prepare(&case.spec, mean.as_ref(), &case.views).expect("views within the images");
    assert_eq!(images.shape(), [case.views.len(), case.spec.crop, case.spec.crop, 3]);
    host(&images)
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn values_follow_the_formula(case in cases()) {
        let pixels = bytes(case.seed, case.count * case.size * case.size * 3);
        let mean: Vec<f64> = values(case.seed, case.size * case.size * 3).iter().map(|v| f64::from(*v as f32)).collect();
        let expected = expected(&case, &pixels, &mean);
        // Factor and offset of a view are single precision on every backend: up to 800 each, and may cancel.
        let tolerance = 1e-6 * 800.0;
        for got in [prepared(cpu64(), &case, &pixels, &mean), prepared(cpu32(), &case, &pixels, &mean)] {
            prop_assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(&expected) {
                prop_assert!((got - expected).abs() <= tolerance, "got {}, expected {}", got, expected);
            }
        }
    }
}

#[test]
fn bytes_are_uploaded_in_little_endian_words() {
    for len in 0..9u8 {
        let bytes: Vec<u8> = (0..len).map(|b| b + 0xf0).collect();
        let words = cpu32().upload_bytes(&bytes).unwrap();
        let words = cpu32().download_ints(&words).unwrap();
        assert_eq!(words.len(), bytes.len().div_ceil(4));
        let mut back: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert!(back[bytes.len()..].iter().all(|&b| b == 0), "filled up with {back:?}");
        back.truncate(bytes.len());
        assert_eq!(back, bytes);
    }
}

#[test]
fn invalid_sizes_crops_and_views_are_refused() {
    let cpu = cpu32();
    assert_argument_error(RawImages::upload(cpu, 4, &[0; 47]), "expected whole images");
    assert_argument_error(RawImages::upload(cpu, 0, &[]), "expected whole images");
    assert_shape_error(RawImages::upload(cpu, usize::MAX, &[0; 3]), "prepare");
    let images = RawImages::upload(cpu, 4, &[0; 96]).unwrap();
    assert_eq!((images.len(), images.size(), images.is_empty()), (2, 4, false));
    let spec = |crop| Prepare { crop, bgr: false, factor: [1.0; 3], mean: [0.0; 3] };
    for crop in [0, 5] {
        assert_argument_error(images.prepare(&spec(crop), None, &[]), "the crop must be 1 to 4");
    }
    for view in [View::crop(2, 0, 0, false), View::crop(0, 2, 0, false), View::crop(0, 0, u32::MAX, false)] {
        let result = images.prepare(&spec(3), None, &[View::crop(1, 1, 1, true), view]);
        assert_argument_error(result, "within 2 images of 4 x 4");
    }
    let mean = Tensor::zeros(cpu, &[4, 3, 3]).unwrap();
    let message = error_message(images.prepare(&spec(3), Some(&mean), &[]));
    assert!(message.contains("a mean image of 4 x 4 x 3"), "{message}");
}
