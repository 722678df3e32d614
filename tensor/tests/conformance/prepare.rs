//! Crops of stored images.

use std::sync::mpsc::sync_channel;

use alexnet_tensor::ops::{Prepare, RawImages, View};
use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Backend, Cpu, Tensor};

use crate::compare::{assert_near, exact, host, weights};
use crate::devices::Tested;
use crate::support::{bytes, cpu64, values};

struct Case {
    count: usize,
    size: usize,
    spec: Prepare,
    views: Vec<View>,
    mean: Option<Vec<f64>>,
}

/// Random crops, flips, shifts and dampings.
fn views(count: usize, margin: usize, n: usize) -> Vec<View> {
    let stream = Stream::new(n as u64, purpose::USER, 3);
    let below = |i: u64, n: usize| (stream.uniform(i) * n as f32) as u32;
    let view = |i: u64| View {
        image: below(8 * i, count),
        top: below(8 * i + 1, margin + 1),
        left: below(8 * i + 2, margin + 1),
        mirror: below(8 * i + 3, 2) == 1,
        shift: [4, 5, 6].map(|k| 20.0 * stream.uniform(8 * i + k) - 10.0),
        damping: 1.0 - 0.2 * stream.uniform(8 * i + 7),
    };
    (0..n as u64).map(view).collect()
}

/// Sizes and crops whose rows do and do not start at a word and end with a vector, crops as large as the image and of
/// one pixel.
fn cases() -> Vec<Case> {
    let sides = [(1, 1, 1), (2, 5, 5), (3, 7, 4), (2, 9, 8), (1, 16, 16), (3, 13, 1), (5, 30, 27), (2, 64, 56)];
    let mut cases = Vec::new();
    for (i, (count, size, crop)) in sides.into_iter().enumerate() {
        for (bgr, with_mean) in [(false, false), (true, false), (false, true), (true, true)] {
            let mean = with_mean.then(|| values(i as u64, size * size * 3).iter().map(|v| 60.0 * v).collect());
            let spec = Prepare { crop, bgr, factor: [1.0, 0.017, -0.3], mean: [3.0, 0.2, -20.0] };
            cases.push(Case { count, size, spec, views: views(count, size - crop, 7), mean });
        }
    }
    if crate::devices::full_size() {
        let spec = Prepare { crop: 224, bgr: false, factor: [1.0; 3], mean: [0.0; 3] };
        let mean = Some(values(1, 256 * 256 * 3).iter().map(|v| 60.0 * v).collect());
        cases.push(Case { count: 128, size: 256, spec, views: views(128, 32, 128), mean });
    }
    cases
}

fn prepared<B: Backend>(case: &Case, images: &RawImages<B>, mean: Option<Tensor<B>>) -> Tensor<B> {
    images.prepare(&case.spec, mean.as_ref(), &case.views).expect("a launch")
}

/// The result of the CPU in double precision.
fn reference(case: &Case, pixels: &[u8]) -> Vec<f64> {
    let images = RawImages::upload(cpu64(), case.size, pixels).expect("an upload");
    let mean: Option<Tensor<Cpu<f64>>> = case.mean.as_ref().map(|m| exact(&[case.size, case.size, 3], &single(m)));
    prepared(case, &images, mean).to_vec().expect("values")
}

fn single(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v as f32)).collect()
}

/// The largest sum of pixel, shift and mean after their factors, which may cancel.
fn scale(case: &Case) -> f64 {
    let factor = case.spec.factor.iter().fold(0.0, |max, f| f64::from(f.abs()).max(max));
    265.0 * factor + 20.0 + if case.mean.is_some() { 120.0 } else { 0.0 }
}

pub fn forward<B: Tested>(device: &B) {
    for (i, case) in cases().iter().enumerate() {
        let pixels = bytes(i as u64, case.count * case.size * case.size * 3);
        let images = RawImages::upload(device, case.size, &pixels).expect("an upload");
        let mean = || case.mean.as_ref().map(|m| weights(device, &[case.size, case.size, 3], m));
        let got = host(&prepared(case, &images, mean()));
        assert_near(&got, &reference(case, &pixels), |_| scale(case), device.value_tolerance());
        assert_eq!(got, host(&prepared(case, &images, mean())), "other bits in a second run");
    }
}

pub fn ten_views_of_one_image<B: Tested>(device: &B) {
    let spec = Prepare { crop: 6, bgr: false, factor: [1.0; 3], mean: [0.0; 3] };
    let places = [(0, 0), (3, 0), (0, 3), (3, 3), (1, 1)];
    let views: Vec<View> =
        (0..20).map(|i| View::crop(i / 10, places[i as usize % 5].0, places[i as usize % 5].1, i % 10 >= 5)).collect();
    let pixels = bytes(3, 2 * 9 * 9 * 3);
    let images = host(
        &RawImages::upload(device, 9, &pixels).expect("an upload").prepare(&spec, None, &views).expect("a launch"),
    );
    for (view, image) in views.iter().zip(images.chunks_exact(6 * 6 * 3)) {
        for (i, &value) in image.iter().enumerate() {
            let row = i / 18;
            let column = i / 3 % 6;
            let colour = i % 3;
            let column = if view.mirror { 5 - column } else { column };
            let place = ((view.top as usize + row) * 9 + view.left as usize + column) * 3 + colour;
            // Whole numbers up to 255 are exact in every format.
            assert_eq!(value, f64::from(pixels[view.image as usize * 243 + place]), "{view:?}, value {i}");
        }
    }
}

pub fn empty_tensors<B: Tested>(device: &B) {
    let spec = Prepare { crop: 2, bgr: false, factor: [1.0; 3], mean: [0.0; 3] };
    let raw = RawImages::upload(device, 3, &[]).expect("an upload");
    let images = raw.prepare(&spec, None, &[]).expect("no launch");
    assert_eq!((images.shape(), images.to_vec().expect("values").len()), (&[0, 2, 2, 3][..], 0));
}

/// Uploads by a thread that runs ahead do not overwrite images that queued kernels have not read yet, although all
/// uploads have the same length and reuse memory.
pub fn uploads_ahead<B: Tested>(device: &B) {
    const ROUNDS: u64 = 40;
    let case = &cases()[0];
    let case =
        Case { count: 3, size: 40, spec: Prepare { crop: 40, ..case.spec.clone() }, views: views(3, 0, 3), mean: None };
    let pixels = |round: u64| bytes(round, case.count * case.size * case.size * 3);
    let (sender, uploaded) = sync_channel(2);
    let images: Vec<Tensor<B>> = std::thread::scope(|scope| {
        scope.spawn(move || {
            for round in 0..ROUNDS {
                sender
                    .send(RawImages::upload(device, case.size, &pixels(round)).expect("an upload"))
                    .expect("a receiver");
            }
        });
        // Without waiting: the device is behind, and the uploading thread ahead.
        uploaded.iter().map(|images| prepared(&case, &images, None)).collect()
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
