//! Batches: their values and order, which do not depend on threads or batch size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alexnet_data::ndarray::{Array3, Array4, Axis, s};
use alexnet_data::{
    Augment, Batch, ColourJitter, ColourNoise, ColourRule, CropAndNormalize, Error, Loader, LoaderOptions, Mean,
    MixupCutmix, Pack, PackOptions, RandomErasing, ResizedCrop, Shuffle, Storage, Views, crop_image, pack,
};
use proptest::prelude::*;

use crate::common::Setting;
use crate::common::loading::{augment, input, packed, training};

/// Every image of an epoch from batch `first` on: pack index, label, crop.
fn epoch(
    pack: &Arc<Pack>,
    input: &CropAndNormalize,
    options: &LoaderOptions,
    epoch: u64,
    first: usize,
) -> Vec<(u64, u32, Array3<f32>)> {
    let loader = Loader::new(Arc::clone(pack), input.clone(), options.clone()).unwrap();
    let mut images = Vec::new();
    for batch in loader.batches(epoch, first) {
        let batch: Batch = batch.unwrap();
        let crops = loader.crops(&batch).unwrap();
        assert_eq!(crops.len_of(Axis(0)), batch.labels.len() * options.views.count());
        assert_eq!(batch.labels.len(), batch.indices.len());
        let rows = crops.axis_iter(Axis(0));
        images.extend(batch.indices.iter().zip(&batch.labels).zip(rows).map(|((&i, &l), v)| (i, l, v.to_owned())));
    }
    images
}

fn stored(pack: &Pack, index: usize) -> Array3<f32> {
    let pixels = pack.pixels(index).unwrap();
    Array3::from_shape_vec((pack.size(), pack.size(), 3), pixels.iter().map(|&v| f32::from(v)).collect()).unwrap()
}

#[test]
fn batches_do_not_depend_on_threads_batch_size_or_the_first_batch() {
    let pack = packed();
    let whole = epoch(&pack, &input(27), &training(4, 1), 5, 0);
    assert_eq!(whole.len(), 23);
    assert!(whole == epoch(&pack, &input(27), &training(4, 3), 5, 0));
    assert!(whole == epoch(&pack, &input(27), &training(23, 2), 5, 0));
    let ahead = LoaderOptions { prefetch_bytes: 0, ..training(7, 2) };
    assert!(whole == epoch(&pack, &input(27), &ahead, 5, 0));
    assert!(whole[12..] == epoch(&pack, &input(27), &training(4, 2), 5, 3));
    assert!(epoch(&pack, &input(27), &training(4, 2), 5, 6).is_empty());
    let other = epoch(&pack, &input(27), &training(4, 2), 6, 0);
    let order = |images: &[(u64, u32, Array3<f32>)]| images.iter().map(|p| p.0).collect::<Vec<_>>();
    assert_ne!(order(&whole), order(&other));
    assert_eq!(order(&whole).into_iter().collect::<BTreeSet<_>>(), (0..23).collect());
    assert!(whole.iter().all(|(index, label, _)| pack.label(*index as usize) == *label));
    let seed = LoaderOptions { seed: 10, ..training(4, 2) };
    assert_ne!(order(&whole), order(&epoch(&pack, &input(27), &seed, 5, 0)));
}

#[test]
fn draws_follow_the_image_and_not_its_position_in_the_epoch() {
    let pack = packed();
    let in_order = LoaderOptions { shuffle: Shuffle::None, ..training(5, 2) };
    let sorted = epoch(&pack, &input(20), &in_order, 2, 0);
    let mut shuffled = epoch(&pack, &input(20), &training(5, 2), 2, 0);
    shuffled.sort_by_key(|image| image.0);
    assert!(sorted == shuffled);
}

#[test]
fn short_batches_are_kept_or_dropped() {
    let pack = packed();
    let count = |batch, drop_last| {
        let options = LoaderOptions { batch, drop_last, ..LoaderOptions::default() };
        let loader = Loader::new(Arc::clone(&pack), input(8), options).unwrap();
        let sizes: Vec<usize> = loader.batches(0, 0).map(|b| b.unwrap().labels.len()).collect();
        assert_eq!(sizes.len(), loader.batches_per_epoch());
        sizes
    };
    assert_eq!(count(10, false), [10, 10, 3]);
    assert_eq!(count(10, true), [10, 10]);
    assert_eq!(count(23, true), [23]);
    assert_eq!(count(50, false), [23]);
    assert!(count(50, true).is_empty());
}

#[test]
fn ten_crops_are_corners_centre_and_their_mirrors() {
    let pack = packed();
    let options = LoaderOptions { batch: 4, views: Views::Ten, ..LoaderOptions::default() };
    let loader = Loader::new(Arc::clone(&pack), input(21), options).unwrap();
    let batch = loader.batches(0, 1).next().unwrap().unwrap();
    let crops = loader.crops(&batch).unwrap();
    assert_eq!((crops.dim(), batch.labels.len()), ((40, 21, 21, 3), 4));
    for (n, &index) in batch.indices.iter().enumerate() {
        let image = stored(&pack, index as usize);
        // Rows and columns left out before the crop: 32 - 21 = 11 of them in all.
        let places = [(0, 0), (0, 11), (11, 0), (11, 11), (5, 5)];
        for (view, (top, left)) in places.into_iter().enumerate() {
            let crop = image.slice(s![top..top + 21, left..left + 21, ..]);
            let mirror = crop.slice(s![.., ..;-1, ..]);
            assert_eq!(crops.index_axis(Axis(0), 10 * n + view), crop);
            assert_eq!(crops.index_axis(Axis(0), 10 * n + view + 5), mirror);
        }
    }
    // `predict` does the same with one image.
    let first = crop_image(&pack.pixels(4).unwrap(), 32, &input(21), Views::Ten).unwrap();
    assert_eq!(first, crops.slice(s![..10, .., .., ..]));
}

#[test]
fn crops_flips_and_shifts_follow_the_draws() {
    let pack = packed();
    let mut seen = BTreeMap::new();
    for number in 0..40 {
        for (index, _, found) in epoch(&pack, &input(30), &training(23, 2), number, 0) {
            let image = stored(&pack, index as usize);
            // One place and side fits, up to a shift of each colour and the source's division by 1.1.
            let fits = |top: usize, left: usize, mirrored: bool| {
                let crop = image.slice(s![top..top + 30, left..left + 30, ..]);
                let crop = if mirrored { crop.slice_move(s![.., ..;-1, ..]) } else { crop };
                let shift = &found - &(&crop / 1.1);
                (0..3).all(|c| {
                    let one = shift.index_axis(Axis(2), c);
                    one.iter().all(|v| (v - one[[0, 0]]).abs() < 1e-3)
                })
            };
            let all = (0..18).map(|i| (i / 6, i / 2 % 3, i % 2 == 1));
            let found: Vec<_> = all.filter(|&(top, left, mirrored)| fits(top, left, mirrored)).collect();
            assert_eq!(found.len(), 1, "image {index}: {found:?}");
            *seen.entry(found[0]).or_insert(0) += 1;
        }
    }
    // 920 draws of 18 kinds: 51 each, standard deviation 7.
    assert_eq!(seen.len(), 18);
    assert!(seen.values().all(|&n: &i32| (n - 51).abs() < 32), "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// `(pixel * scale - mean) / deviation`, with the mean cropped like the image, and BGR order if requested.
    #[test]
    fn values_are_those_of_the_formula(
        crop in 1..=12usize,
        bgr: bool,
        scale in 0.001..2.0f32,
        mean_kind in 0..3,
        deviation in prop::option::of(prop::array::uniform3(0.1..3.0f32)),
        seed: u8,
    ) {
        let image: Vec<u8> = (0..12 * 12 * 3).map(|i| ((i * 31 + usize::from(seed) * 7) % 256) as u8).collect();
        let mean_image = Array3::from_shape_fn((12, 12, 3), |(y, x, c)| (y * 5 + x * 3 + c) as f32 * scale);
        let mean = match mean_kind {
            0 => Mean::None,
            1 => Mean::Rgb([10.0 * scale, 20.0 * scale, 30.0 * scale]),
            _ => Mean::Image(mean_image.clone()),
        };
        let input = CropAndNormalize { crop, bgr, scale, mean, deviation };
        let found: Array4<f32> = crop_image(&image, 12, &input, Views::Ten).unwrap();
        let margin = 12 - crop;
        for (view, (top, left)) in [(0, 0), (0, margin), (margin, 0), (margin, margin), (margin / 2, margin / 2)].into_iter().enumerate() {
            for ((mirrored, y), x) in [false, true].into_iter().flat_map(|m| (0..crop).map(move |y| (m, y))).flat_map(|p| (0..crop).map(move |x| (p, x))) {
                for c in 0..3 {
                    let sy = top + y;
                    let sx = left + if mirrored { crop - 1 - x } else { x };
                    let mean = match mean_kind {
                        0 => 0.0,
                        1 => f64::from([10.0 * scale, 20.0 * scale, 30.0 * scale][c]),
                        _ => f64::from(mean_image[[sy, sx, c]]),
                    };
                    let plain = (f64::from(image[(sy * 12 + sx) * 3 + c]) * f64::from(scale) - mean)
                        / f64::from(deviation.map_or(1.0, |d| d[c]));
                    let value = found[[view + if mirrored { 5 } else { 0 }, y, x, if bgr { 2 - c } else { c }]];
                    prop_assert!((f64::from(value) - plain).abs() < 1e-3 + 1e-5 * plain.abs(), "{value} for {plain}");
                }
            }
        }
    }
}

#[test]
fn the_mean_image_is_cropped_with_the_image() {
    let pack = packed();
    let image = pack.statistics().mean_image.clone();
    let options = LoaderOptions {
        augment: Some(Augment { random_crop: true, mirror: true, ..Augment::default() }),
        ..training(23, 2)
    };
    let plain = epoch(&pack, &input(25), &options, 1, 0);
    let with_mean = CropAndNormalize { mean: Mean::Image(image.clone()), ..input(25) };
    let subtracted = epoch(&pack, &with_mean, &options, 1, 0);
    let mut kinds = BTreeSet::new();
    for ((_, _, before), (_, _, after)) in plain.iter().zip(&subtracted) {
        let mean = before - after;
        let all = (0..128).map(|i| (i / 16, i / 2 % 8, i % 2 == 1));
        let fits = all.clone().filter(|&(top, left, mirrored)| {
            let crop = image.slice(s![top..top + 25, left..left + 25, ..]);
            let crop = if mirrored { crop.slice_move(s![.., ..;-1, ..]) } else { crop };
            mean.iter().zip(&crop).all(|(a, b)| (a - b).abs() < 1e-3)
        });
        kinds.extend(fits);
    }
    assert!(kinds.len() > 15, "{kinds:?}");
}

#[test]
fn a_jpeg_pack_loads_too() {
    let setting = Setting::new();
    pack(&PackOptions { storage: Storage::JPEG, ..setting.options("out") }, |_| ()).unwrap();
    let pack = setting.open("out");
    let one = epoch(&pack, &input(32), &LoaderOptions { batch: 6, ..LoaderOptions::default() }, 0, 0);
    for (index, _, image) in one {
        assert_eq!(image, stored(&pack, index as usize));
    }
}

#[test]
fn dropping_batches_early_is_quiet() {
    let loader = Loader::new(packed(), input(16), training(2, 2)).unwrap();
    for taken in 0..4 {
        assert_eq!(loader.batches(0, 0).take(taken).filter(|b| b.is_ok()).count(), taken);
    }
}

#[test]
fn crops_are_written_to_a_buffer_of_their_length() {
    let loader = Loader::new(packed(), input(16), training(2, 2)).unwrap();
    let batch = loader.batches(0, 0).next().unwrap().unwrap();
    let expected = loader.crops(&batch).unwrap();
    let mut values = vec![0.0; expected.len()];
    loader.write_crops(&batch, &mut values).unwrap();
    assert!(values.iter().eq(&expected));
    let error = loader.write_crops(&batch, &mut values[1..]).unwrap_err().to_string();
    assert_eq!(error, "out: expected 1536 values, got 1535");
}

#[test]
fn options_out_of_range_are_named() {
    let pack = packed();
    let check = |input: CropAndNormalize, options: LoaderOptions, expected: &str| {
        let error = Loader::new(Arc::clone(&pack), input, options).unwrap_err();
        assert!(matches!(error, Error::Option { .. }) && error.to_string().starts_with(expected), "{error}");
    };
    let usual = LoaderOptions::default;
    check(input(33), usual(), "crop: expected 1 to 32, the images' size, got 33");
    check(input(0), usual(), "crop: expected 1 to 32");
    check(input(8), LoaderOptions { batch: 0, ..usual() }, "batch: expected at least 1, got 0");
    check(input(8), LoaderOptions { threads: 0, ..usual() }, "threads: expected at least 1, got 0");
    check(input(8), LoaderOptions { views: Views::Ten, augment: augment(), ..usual() }, "views: expected one crop");
    check(
        CropAndNormalize { mean: Mean::Image(Array3::zeros((8, 8, 3))), ..input(8) },
        usual(),
        "mean image: expected 32 x 32 x 3",
    );
    check(
        CropAndNormalize { deviation: Some([1.0, 0.0, 1.0]), ..input(8) },
        usual(),
        "input: expected a scale and a deviation",
    );
    check(CropAndNormalize { scale: f32::NAN, ..input(8) }, usual(), "input: ");
    let colour_noise = Some(ColourNoise { rule: ColourRule::Paper, deviation: -1.0, components: None });
    let negative = Some(Augment { colour_noise, ..Augment::default() });
    let with = |augment: Augment| LoaderOptions { augment: Some(augment), ..usual() };
    let resized_crop = Some(ResizedCrop { scale: [0.5, 1.5], ..ResizedCrop::default() });
    check(
        input(8),
        with(Augment { resized_crop, ..Augment::default() }),
        "resized crop's scale: expected two ascending",
    );
    let jitter = Some(ColourJitter { hue: 0.6, ..ColourJitter::default() });
    check(input(8), with(Augment { jitter, ..Augment::default() }), "jitter: expected a hue of 0 to 0.5, got 0.6");
    let random_erasing = Some(RandomErasing { probability: 1.5, ..RandomErasing::default() });
    check(
        input(8),
        with(Augment { random_erasing, ..Augment::default() }),
        "erasing's probability: expected 0 to 1, got 1.5",
    );
    let mix = Some(MixupCutmix::default());
    check(input(8), with(Augment { mix, ..Augment::default() }), "mix: expected alphas of 0 to 100");
    check(input(8), LoaderOptions { augment: negative, ..usual() }, "colour deviation: expected 0 or more, got -1");
    let error = crop_image(&[0; 5], 2, &input(1), Views::Centre).unwrap_err();
    assert_eq!(error.to_string(), "image: expected 2 x 2 x 3 bytes, got 5 bytes");
}
