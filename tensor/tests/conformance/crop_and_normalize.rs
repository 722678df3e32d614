//! Crops of stored images.

use std::sync::mpsc::sync_channel;

use alexnet_tensor::ndarray::Array3;
use alexnet_tensor::ops::{CropAndNormalize, CropParams, InputTransform, Mean};
use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Backend, DeviceImages, Tensor};

use crate::compare::{assert_near, host};
use crate::devices::Tested;
use crate::support::{bytes, cpu64, values};

struct Case {
    count: usize,
    size: usize,
    settings: CropAndNormalize,
    crops: Vec<CropParams>,
}

/// Crops at random positions, mirrored or not, each with its own shift and damping.
fn crops(count: usize, margin: usize, n: usize) -> Vec<CropParams> {
    let stream = Stream::new(n as u64, purpose::USER, 3);
    let below = |i: u64, n: usize| (stream.uniform(i) * n as f32) as u32;
    let params = |i: u64| CropParams {
        image: below(8 * i, count),
        top: below(8 * i + 1, margin + 1),
        left: below(8 * i + 2, margin + 1),
        mirror: below(8 * i + 3, 2) == 1,
        shift: [4, 5, 6].map(|k| 20.0 * stream.uniform(8 * i + k) - 10.0),
        damping: 1.0 - 0.2 * stream.uniform(8 * i + 7),
    };
    (0..n as u64).map(params).collect()
}

/// Sizes and crops whose rows start at a word or between words and fill whole vectors or not, crops as large as the
/// image, and crops of one pixel.
fn cases() -> Vec<Case> {
    let sides = [(1, 1, 1), (2, 5, 5), (3, 7, 4), (2, 9, 8), (1, 16, 16), (3, 13, 1), (5, 30, 27), (2, 64, 56)];
    let mut cases = Vec::new();
    for (i, (count, size, crop)) in sides.into_iter().enumerate() {
        for (bgr, with_mean) in [(false, false), (true, false), (false, true), (true, true)] {
            let mean = if with_mean { mean_image(i as u64, size) } else { Mean::Rgb([3.0, 12.0, 60.0]) };
            let deviation = Some([1.0, 59.0, -3.3]);
            let settings = CropAndNormalize { crop, bgr, scale: 1.0, mean, deviation };
            cases.push(Case { count, size, settings, crops: crops(count, size - crop, 7) });
        }
    }
    if crate::devices::full_size() {
        let settings = CropAndNormalize { mean: mean_image(1, 256), ..CropAndNormalize::crop_only(224) };
        cases.push(Case { count: 128, size: 256, settings, crops: crops(128, 32, 128) });
    }
    cases
}

fn mean_image(seed: u64, size: usize) -> Mean {
    let values = values(seed, size * size * 3).iter().map(|v| 60.0 * *v as f32).collect();
    Mean::Image(Array3::from_shape_vec((size, size, 3), values).expect("as many values"))
}

fn transformed<B: Backend>(case: &Case, images: &DeviceImages<B>) -> Tensor<B> {
    let transform = InputTransform::new(images.device(), &case.settings).expect("a mean image");
    transform.apply(images, &case.crops).expect("a launch")
}

/// The CPU's values in double precision.
fn reference(case: &Case, pixels: &[u8]) -> Vec<f64> {
    let images = DeviceImages::from_bytes(cpu64(), case.size, pixels).expect("an upload");
    transformed(case, &images).to_vec().expect("values")
}

/// Largest magnitude of pixels, shift and mean, which may cancel.
fn scale(case: &Case) -> f64 {
    let has_mean_image = matches!(case.settings.mean, Mean::Image(_));
    265.0 + if has_mean_image { 120.0 } else { 60.0 }
}

pub fn forward<B: Tested>(device: &B) {
    for (i, case) in cases().iter().enumerate() {
        let pixels = bytes(i as u64, case.count * case.size * case.size * 3);
        let images = DeviceImages::from_bytes(device, case.size, &pixels).expect("an upload");
        let got = host(&transformed(case, &images));
        assert_near(&got, &reference(case, &pixels), |_| scale(case), device.value_tolerance());
        assert_eq!(got, host(&transformed(case, &images)), "other bits in a second run");
    }
}

pub fn ten_crops_of_one_image<B: Tested>(device: &B) {
    let positions = [(0, 0), (3, 0), (0, 3), (3, 3), (1, 1)];
    let params = |i: u32| {
        let (left, top) = positions[i as usize % 5];
        CropParams::new(i / 10, left, top, i % 10 >= 5)
    };
    let crops: Vec<CropParams> = (0..20).map(params).collect();
    let pixels = bytes(3, 2 * 9 * 9 * 3);
    let images = DeviceImages::from_bytes(device, 9, &pixels).expect("an upload");
    let transform = InputTransform::new(device, &CropAndNormalize::crop_only(6)).expect("no mean image");
    let values = host(&transform.apply(&images, &crops).expect("a launch"));
    for (crop, image) in crops.iter().zip(values.chunks_exact(6 * 6 * 3)) {
        for (i, &value) in image.iter().enumerate() {
            let row = i / 18;
            let column = i / 3 % 6;
            let colour = i % 3;
            let column = if crop.mirror { 5 - column } else { column };
            let place = ((crop.top as usize + row) * 9 + crop.left as usize + column) * 3 + colour;
            // Whole numbers up to 255 are exact in every format.
            assert_eq!(value, f64::from(pixels[crop.image as usize * 243 + place]), "{crop:?}, value {i}");
        }
    }
}

pub fn empty_tensors<B: Tested>(device: &B) {
    let images = DeviceImages::from_bytes(device, 3, &[]).expect("an upload");
    let transform = InputTransform::new(device, &CropAndNormalize::crop_only(2)).expect("no mean image");
    let input = transform.apply(&images, &[]).expect("no launch");
    assert_eq!((input.shape(), input.to_vec().expect("values").len()), (&[0, 2, 2, 3][..], 0));
}

/// Uploads by a thread that runs ahead do not overwrite images that queued kernels have not read yet, although all
/// uploads have the same length and reuse memory.
pub fn uploads_ahead<B: Tested>(device: &B) {
    const ROUNDS: u64 = 40;
    let settings = CropAndNormalize { crop: 40, ..cases()[0].settings.clone() };
    let case = Case { count: 3, size: 40, settings, crops: crops(3, 0, 3) };
    let pixels = |round: u64| bytes(round, case.count * case.size * case.size * 3);
    let (sender, uploaded) = sync_channel(2);
    let images: Vec<Tensor<B>> = std::thread::scope(|scope| {
        scope.spawn(move || {
            for round in 0..ROUNDS {
                let images = DeviceImages::from_bytes(device, case.size, &pixels(round)).expect("an upload");
                sender.send(images).expect("a receiver");
            }
        });
        // Nothing waits: the device is behind, and the uploading thread ahead.
        uploaded.iter().map(|images| transformed(&case, &images)).collect()
    });
    for (round, images) in images.iter().enumerate() {
        assert_near(
            &host(images),
            &reference(&case, &pixels(round as u64)),
            |_| scale(&case),
            device.value_tolerance(),
        );
    }
}
