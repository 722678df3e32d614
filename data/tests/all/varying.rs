//! How images are varied and shuffled: the same for floats, crops and images, and on any threads.

use std::collections::BTreeSet;
use std::sync::Arc;

use alexnet_data::ndarray::{Array3, Axis};
use alexnet_data::{
    Augment, Colour, ColourRule, Erase, Input, Jitter, Loader, LoaderOptions, Mean, Mix, Pack, PackOptions, RawBatch,
    ResizedCrop, Shuffle, Storage, Views, pack,
};
use proptest::prelude::*;
use tensor::ops::RawImages;
use tensor::{Cpu, Tensor};

use crate::common::Setting;

fn input(crop: usize) -> Input {
    Input { crop, bgr: false, scale: 1.0, mean: Mean::None, deviation: None }
}

fn augment() -> Option<Augment> {
    let colour = Some(Colour { rule: ColourRule::Source, deviation: 0.1, components: None });
    Some(Augment { random_crop: true, mirror: true, colour, ..Augment::default() })
}

fn training(batch: usize, threads: usize) -> LoaderOptions {
    LoaderOptions { batch, threads, seed: 9, shuffle: Shuffle::Full, augment: augment(), ..LoaderOptions::default() }
}

fn packed() -> Arc<Pack> {
    let setting = Setting::new();
    setting.pack("out");
    setting.open("out")
}

fn stored(pack: &Pack, index: usize) -> Array3<f32> {
    let pixels = pack.pixels(index).unwrap();
    Array3::from_shape_vec((pack.size(), pack.size(), 3), pixels.iter().map(|&v| f32::from(v)).collect()).unwrap()
}

/// What the CPU's kernel makes of a raw batch.
fn prepared(loader: &Loader, batch: &RawBatch) -> Vec<f32> {
    let cpu = Cpu::<f32>::new(2).unwrap();
    let preparation = loader.preparation();
    let mean = preparation.mean_image.as_ref().map(|mean| Tensor::from_array(&cpu, mean.view().into_dyn()).unwrap());
    let images = RawImages::upload(&cpu, batch.size, &batch.pixels).unwrap();
    images.prepare(&preparation.prepare, mean.as_ref(), &batch.views).unwrap().to_vec().unwrap()
}

/// Fails unless the raw batches of an epoch, prepared, are its batches, bit for bit.
fn assert_raw_is_the_same(loader: &Loader, epoch: u64, first: usize, changed: bool) -> Result<(), TestCaseError> {
    let batches = loader.batches(epoch, first);
    let raw = loader.raw_batches(epoch, first);
    let batches: Vec<_> = batches.map(Result::unwrap).collect();
    let raw: Vec<_> = raw.map(Result::unwrap).collect();
    prop_assert_eq!(batches.len(), raw.len());
    for (batch, raw) in batches.iter().zip(&raw) {
        prop_assert_eq!((&batch.labels, &batch.indices), (&raw.labels, &raw.indices));
        let found = prepared(loader, raw);
        prop_assert_eq!(batch.images.len(), found.len());
        prop_assert!(batch.images.iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits()), "other bits");
        prop_assert_eq!(&batch.mixed, &raw.mixed);
        let unchanged = (0..raw.indices.len()).filter(|_| !changed);
        for (place, &index) in unchanged.zip(&raw.indices) {
            let bytes = raw.size * raw.size * 3;
            let stored = loader.pack().pixels(index as usize).unwrap();
            prop_assert!(raw.pixels[place * bytes..(place + 1) * bytes] == *stored);
        }
    }
    Ok(())
}

/// The changes to pixels that these bits name.
fn changes_of(bits: u8) -> Augment {
    let bit = |n: u8| bits >> n & 1 == 1;
    let mix = |n: u8| if bit(n) { 0.5 } else { 0.0 };
    Augment {
        resized_crop: bit(0).then(ResizedCrop::default),
        jitter: bit(1).then_some(Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        erase: bit(2).then(Erase::default),
        mix: (bit(3) || bit(4)).then(|| Mix { mixup: mix(3), cutmix: mix(4) }),
        ..Augment::default()
    }
}

/// A pack of raw images and one of JPEGs.
fn both_packs() -> [Arc<Pack>; 2] {
    let setting = Setting::new();
    setting.pack("raw");
    pack(&PackOptions { storage: Storage::JPEG, ..setting.options("jpeg") }, |_| ()).unwrap();
    [setting.open("raw"), setting.open("jpeg")]
}

#[test]
fn raw_batches_prepared_are_the_batches_bit_for_bit() {
    let packs = both_packs();
    let colour = prop::option::of((any::<bool>(), 0.0..0.5f32).prop_map(|(paper, deviation)| Colour {
        rule: if paper { ColourRule::Paper } else { ColourRule::Source },
        deviation,
        components: None,
    }));
    let augment = prop::option::of((any::<bool>(), any::<bool>(), colour, 0..9usize, 0..32u8).prop_map(
        |(random_crop, mirror, colour, shared, changes)| Augment {
            random_crop,
            mirror,
            colour,
            shared,
            ..changes_of(changes)
        },
    ));
    let input =
        (1..=32usize, any::<bool>(), 0.001..2.0f32, 0..3usize, prop::option::of(prop::array::uniform3(0.1..3.0f32)));
    let place = (1..25usize, any::<u64>(), any::<bool>(), 0..3u64, 0..2usize, any::<bool>());
    let config =
        ProptestConfig { cases: 48, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() };
    proptest!(config, |(augment in augment, input in input, place in place, jpeg: bool)| {
        let pack = &packs[usize::from(jpeg)];
        let (crop, bgr, scale, mean, deviation) = input;
        let mean = match mean {
            0 => Mean::None,
            1 => Mean::Rgb(pack.statistics().mean_rgb),
            _ => Mean::Image(pack.statistics().mean_image.clone()),
        };
        let (batch, seed, shuffle, epoch, first, ten) = place;
        let shuffle = if shuffle { Shuffle::Full } else { Shuffle::Window { bytes: 20_000 } };
        let views = if ten && augment.is_none() { Views::Ten } else { Views::Centre };
        let changed = augment.as_ref().is_some_and(|a: &Augment| *a != Augment {
            random_crop: a.random_crop, mirror: a.mirror, colour: a.colour, shared: a.shared, ..Augment::default()
        });
        let options = LoaderOptions { batch, seed, shuffle, augment, views, threads: 2, ..LoaderOptions::default() };
        let loader = Loader::new(Arc::clone(pack), Input { crop, bgr, scale, mean, deviation }, options).unwrap();
        assert_raw_is_the_same(&loader, epoch, first, changed)?;
    });
}

/// The same order, draws and values whatever the threads, the bytes made ahead and the place to begin at.
#[test]
fn every_way_to_vary_and_shuffle_is_the_same_from_anywhere_on_any_threads() {
    let packs = both_packs();
    let config =
        ProptestConfig { cases: 40, rng_seed: proptest::test_runner::RngSeed::Fixed(2), ..ProptestConfig::default() };
    let strategy = (0..3usize, 1..9usize, 0..32u8, any::<u64>(), 1..5usize, 0..4usize, 0..100_000usize);
    proptest!(config, |((shuffle, batch, changes, seed, threads, first, prefetch_bytes) in strategy, shared in 0..5usize)| {
        let shuffle = [Shuffle::None, Shuffle::Full, Shuffle::Window { bytes: 25_000 }][shuffle];
        let augment = Augment { random_crop: true, mirror: true, shared, ..changes_of(changes) };
        let options = LoaderOptions { batch, seed, shuffle, augment: Some(augment), ..LoaderOptions::default() };
        let load = |options: LoaderOptions, first: usize| -> Vec<(Vec<u64>, Vec<u32>, Vec<f32>)> {
            let loader = Loader::new(Arc::clone(&packs[0]), input(27), options).unwrap();
            let batches = loader.batches(1, first).map(Result::unwrap);
            batches.map(|b| (b.indices.clone(), b.labels.clone(), b.images.iter().copied().collect())).collect()
        };
        let whole = load(LoaderOptions { threads: 1, ..options.clone() }, 0);
        let again = load(LoaderOptions { threads, prefetch_bytes, ..options }, first.min(whole.len()));
        prop_assert!(whole[first.min(whole.len())..] == again, "other images");
        let seen: BTreeSet<u64> = whole.iter().flat_map(|batch| batch.0.clone()).collect();
        prop_assert_eq!(seen, (0..23).collect());
    });
}

/// Crops of bytes are the floats without a mean, and say where they were cut.
#[test]
fn crop_batches_are_the_batches_as_bytes() {
    for pack in both_packs() {
        for changes in [0, 1, 8, 31] {
            let augment = Some(Augment { random_crop: true, mirror: true, ..changes_of(changes) });
            let options = LoaderOptions { augment, ..training(5, 2) };
            let loader = Loader::new(Arc::clone(&pack), input(21), options).unwrap();
            for (floats, bytes) in loader.batches(3, 1).zip(loader.crop_batches(3, 1)) {
                let floats = floats.unwrap();
                let bytes = bytes.unwrap();
                assert_eq!((&floats.labels, &floats.indices), (&bytes.labels, &bytes.indices));
                assert_eq!(floats.mixed, bytes.mixed);
                assert!(floats.images.iter().eq(bytes.pixels.iter().map(|&v| f32::from(v)).collect::<Vec<_>>().iter()));
                let views = bytes.views.iter().zip(&bytes.indices).zip(bytes.pixels.chunks(21 * 21 * 3));
                for ((view, &index), crop) in views.filter(|_| changes == 0) {
                    let stored = pack.pixels(index as usize).unwrap();
                    let x = if view.mirror { view.left + 20 } else { view.left };
                    let y = view.top;
                    assert_eq!(crop[..3], stored[(y * 32 + x) as usize * 3..][..3]);
                }
            }
        }
    }
}

#[test]
fn mixed_images_name_the_other_label_and_its_share() {
    let pack = packed();
    let mix = Some(Mix { mixup: 1.0, cutmix: 0.0 });
    let options = LoaderOptions { augment: Some(Augment { mix, ..Augment::default() }), ..training(6, 2) };
    let loader = Loader::new(Arc::clone(&pack), input(32), options).unwrap();
    let mut different = 0;
    for batch in loader.batches(0, 0) {
        let batch = batch.unwrap();
        let n = batch.labels.len();
        assert_eq!(batch.mixed.len(), n);
        for (place, mixed) in batch.mixed.iter().enumerate() {
            let before = (place + n - 1) % n;
            assert_eq!(mixed.label, batch.labels[before]);
            let stored = |place: usize| stored(&pack, batch.indices[place] as usize);
            let expected = stored(place) * (1.0 - mixed.share) + stored(before) * mixed.share;
            let found = batch.images.index_axis(Axis(0), place);
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.51));
            different += usize::from(mixed.share > 0.1 && mixed.share < 0.9);
        }
    }
    assert!(different > 10, "{different}");
    // Alone in its batch, an image is mixed with nothing.
    let alone = LoaderOptions { augment: Some(Augment { mix, ..Augment::default() }), ..training(1, 2) };
    let loader = Loader::new(Arc::clone(&pack), input(32), alone).unwrap();
    assert!(loader.batches(0, 0).all(|batch| batch.unwrap().mixed[0].share == 0.0));
}
