//! Augmentation and shuffling: the same crops for any number of threads. That devices make the same ones is tested in
//! `train/tests/all/device_crops.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use alexnet_data::ndarray::{Array3, Axis, s};
use alexnet_data::{
    Augment, ColourJitter, HostImages, Loader, LoaderOptions, MixupCutmix, Pack, PackOptions, RandomErasing,
    ResizedCrop, Shuffle, Storage, pack,
};
use proptest::prelude::*;

use crate::common::Setting;
use crate::common::loading::{input, packed, training};

fn stored(pack: &Pack, index: usize) -> Array3<f32> {
    let pixels = pack.pixels(index).unwrap();
    Array3::from_shape_vec((pack.size(), pack.size(), 3), pixels.iter().map(|&v| f32::from(v)).collect()).unwrap()
}

/// The pixel augmentations selected by these bits.
fn augment_of(bits: u8) -> Augment {
    let bit = |n: u8| bits >> n & 1 == 1;
    let mix = |n: u8| if bit(n) { 0.5 } else { 0.0 };
    Augment {
        resized_crop: bit(0).then(ResizedCrop::default),
        jitter: bit(1).then_some(ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        random_erasing: bit(2).then(RandomErasing::default),
        mix: (bit(3) || bit(4)).then(|| MixupCutmix { mixup: mix(3), cutmix: mix(4) }),
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

/// Raw images are read where they are, unless their pixels are augmented; decoded images are copies.
#[test]
fn raw_images_are_records_of_the_mapped_pack() {
    for (pack, changes) in both_packs().into_iter().flat_map(|pack| [(Arc::clone(&pack), 0), (pack, 2)]) {
        let augment = Some(Augment { random_crop: true, mirror: true, ..augment_of(changes) });
        let loader = Loader::new(Arc::clone(&pack), input(21), LoaderOptions { augment, ..training(5, 2) }).unwrap();
        let is_stored = pack.storage() == Storage::Raw && changes == 0;
        assert_eq!(loader.reads_the_map(), is_stored);
        for batch in loader.batches(0, 0) {
            let batch = batch.unwrap();
            for (position, &index) in batch.indices.iter().enumerate() {
                let stored = pack.stored(index as usize).unwrap();
                assert_eq!(batch.images.image(position).as_ptr() == stored.as_ptr(), is_stored);
            }
        }
    }
}

/// Order, draws and values do not depend on the number of threads, the prefetch limit and the first batch.
#[test]
fn batches_do_not_depend_on_threads_prefetching_or_the_first_batch() {
    let packs = both_packs();
    let config =
        ProptestConfig { cases: 40, rng_seed: proptest::test_runner::RngSeed::Fixed(2), ..ProptestConfig::default() };
    let strategy = (0..3usize, 1..9usize, 0..32u8, any::<u64>(), 1..5usize, 0..4usize, 0..100_000usize);
    proptest!(config, |((shuffle, batch, changes, seed, threads, first, prefetch_bytes) in strategy, crop_group in 0..5usize)| {
        let shuffle = [Shuffle::None, Shuffle::Full, Shuffle::Window { bytes: 25_000 }][shuffle];
        let augment = Augment { random_crop: true, mirror: true, crop_group, ..augment_of(changes) };
        let options = LoaderOptions { batch, seed, shuffle, augment: Some(augment), ..LoaderOptions::default() };
        let load = |options: LoaderOptions, first: usize| -> Vec<(Vec<u64>, Vec<u32>, Vec<f32>)> {
            let loader = Loader::new(Arc::clone(&packs[0]), input(27), options).unwrap();
            let batches = loader.batches(1, first).map(Result::unwrap);
            batches.map(|b| (b.indices.clone(), b.labels.clone(), loader.crops(&b).unwrap().into_iter().collect())).collect()
        };
        let whole = load(LoaderOptions { threads: 1, ..options.clone() }, 0);
        let again = load(LoaderOptions { threads, prefetch_bytes, ..options }, first.min(whole.len()));
        prop_assert!(whole[first.min(whole.len())..] == again, "other images");
        let seen: BTreeSet<u64> = whole.iter().flat_map(|batch| batch.0.clone()).collect();
        prop_assert_eq!(seen, (0..23).collect());
    });
}

/// Without a mean, the crops are the pixels at their positions.
#[test]
fn crops_are_the_pixels_at_their_positions() {
    for pack in both_packs() {
        let augment = Some(Augment { random_crop: true, mirror: true, ..Augment::default() });
        let loader = Loader::new(Arc::clone(&pack), input(21), LoaderOptions { augment, ..training(5, 2) }).unwrap();
        for batch in loader.batches(3, 1) {
            let batch = batch.unwrap();
            let crops = loader.crops(&batch).unwrap();
            assert_eq!(crops.len_of(Axis(0)), batch.indices.len());
            for (params, found) in batch.crops.iter().zip(crops.axis_iter(Axis(0))) {
                let stored = stored(&pack, batch.indices[params.image as usize] as usize);
                let top = params.top as usize;
                let left = params.left as usize;
                let expected = stored.slice(s![top..top + 21, left..left + 21, ..]);
                let expected = if params.mirror { expected.slice_move(s![.., ..;-1, ..]) } else { expected };
                assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn mixed_images_have_the_second_label_and_its_share() {
    let pack = packed();
    let mix = Some(MixupCutmix { mixup: 1.0, cutmix: 0.0 });
    let options = LoaderOptions { augment: Some(Augment { mix, ..Augment::default() }), ..training(6, 2) };
    let loader = Loader::new(Arc::clone(&pack), input(32), options).unwrap();
    let mut different = 0;
    for batch in loader.batches(0, 0) {
        let batch = batch.unwrap();
        let n = batch.labels.len();
        let crops = loader.crops(&batch).unwrap();
        assert_eq!(batch.mixed.len(), n);
        for (place, mixed) in batch.mixed.iter().enumerate() {
            let before = (place + n - 1) % n;
            assert_eq!(mixed.label, batch.labels[before]);
            let stored = |place: usize| stored(&pack, batch.indices[place] as usize);
            let expected = stored(place) * (1.0 - mixed.share) + stored(before) * mixed.share;
            let found = crops.index_axis(Axis(0), place);
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.51));
            different += usize::from(mixed.share > 0.1 && mixed.share < 0.9);
        }
    }
    assert!(different > 10, "{different}");
    // In a batch of one, nothing is mixed.
    let alone = LoaderOptions { augment: Some(Augment { mix, ..Augment::default() }), ..training(1, 2) };
    let loader = Loader::new(Arc::clone(&pack), input(32), alone).unwrap();
    assert!(loader.batches(0, 0).all(|batch| batch.unwrap().mixed[0].share == 0.0));
}
