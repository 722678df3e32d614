//! Augmentations that users write: their place in the chain, and the same draws for any number of threads.

use alexnet_data::ndarray::{Array4, ArrayViewMut3, Axis};
use alexnet_data::{
    Augment, CropAndNormalize, Loader, LoaderOptions, MixupCutmix, PixelAugmentation, RandomErasing, ResizedCrop,
    SampleRng, Shuffle,
};
use proptest::prelude::*;

use crate::{Noise, SIZE, STORES, Store};

/// Adds a random value to each row, and a fixed one to the first column.
#[derive(Debug)]
struct Rows;

impl PixelAugmentation for Rows {
    fn apply(&self, mut pixels: ArrayViewMut3<'_, u8>, rng: &mut SampleRng) {
        for mut row in pixels.axis_iter_mut(Axis(0)) {
            let value = rng.below(256) as u8;
            let row = row.as_slice_mut().unwrap();
            row.iter_mut().for_each(|v| *v = v.wrapping_add(value));
            row[..3].fill(250);
        }
    }
}

/// Fills the crop.
#[derive(Debug)]
struct Fill(u8);

impl PixelAugmentation for Fill {
    fn apply(&self, mut pixels: ArrayViewMut3<'_, u8>, _: &mut SampleRng) {
        pixels.fill(self.0);
    }
}

/// Doubles all values.
#[derive(Debug)]
struct Double;

impl PixelAugmentation for Double {
    fn apply(&self, mut pixels: ArrayViewMut3<'_, u8>, _: &mut SampleRng) {
        pixels.mapv_inplace(|value| value.wrapping_mul(2));
    }
}

/// Writes its draws as pixels.
#[derive(Debug)]
struct Draws;

impl PixelAugmentation for Draws {
    fn apply(&self, mut pixels: ArrayViewMut3<'_, u8>, rng: &mut SampleRng) {
        pixels.mapv_inplace(|_| rng.below(256) as u8);
    }
}

fn crops(store: Store, crop: usize, options: &LoaderOptions, epoch: u64, first: usize) -> Vec<Array4<f32>> {
    let loader = Loader::new(Noise::new(store, 17), CropAndNormalize::crop_only(crop), options.clone()).unwrap();
    assert!(!loader.reads_the_map());
    loader.batches(epoch, first).map(|batch| loader.crops(&batch.unwrap()).unwrap()).collect()
}

fn with(augment: Augment) -> LoaderOptions {
    LoaderOptions { batch: 5, threads: 2, augment: Some(augment), ..LoaderOptions::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn results_depend_neither_on_threads_nor_on_batches(
        seed: u64, epoch in 0..3u64, threads in 1..5usize, batch in 1..9usize, first in 0..3usize, resized: bool, full: bool,
    ) {
        let resized_crop = resized.then(ResizedCrop::default);
        let augment = Augment { random_crop: true, mirror: true, resized_crop, ..Augment::default() };
        let shuffle = if full { Shuffle::Full } else { Shuffle::None };
        let options = LoaderOptions { seed, shuffle, threads: 1, ..with(augment.with(Rows).with(Double)) };
        let values = |batches: &[Array4<f32>]| batches.iter().flat_map(|b| b.iter().copied()).collect::<Vec<f32>>();
        let whole = values(&crops(Store::Memory, 9, &options, epoch, 0));
        for store in STORES {
            let other = LoaderOptions { threads, batch, ..options.clone() };
            prop_assert_eq!(&whole, &values(&crops(store, 9, &other, epoch, 0)));
        }
        let again = values(&crops(Store::Pixels, 9, &LoaderOptions { threads, ..options }, epoch, first));
        prop_assert_eq!(&whole[first * 5 * 9 * 9 * 3..], &again[..]);
    }
}

/// The augmentation sees the crop alone, before it is mirrored.
#[test]
fn mirroring_follows() {
    let augment = Augment { random_crop: true, mirror: true, ..Augment::default() }.with(Rows);
    let loader = Loader::new(Noise::new(Store::Memory, 17), CropAndNormalize::crop_only(9), with(augment)).unwrap();
    let mut mirrored = 0;
    for batch in loader.batches(0, 0).map(|batch| batch.unwrap()) {
        let values = loader.crops(&batch).unwrap();
        for (crop, params) in values.axis_iter(Axis(0)).zip(&batch.crops) {
            let marked = if params.mirror { 8 } else { 0 };
            assert!(crop.index_axis(Axis(1), marked).iter().all(|&v| v == 250.0));
            mirrored += usize::from(params.mirror);
        }
    }
    assert!((1..17).contains(&mirrored));
}

/// In the order in which they were added, before random erasing and mixing.
#[test]
fn the_chain_has_the_documented_order() {
    let all_are = |augment: Augment, allowed: &[f32]| {
        let found = crops(Store::Pixels, SIZE, &with(augment), 0, 0);
        let mut values: Vec<f32> = found.iter().flatten().copied().collect();
        values.sort_by(f32::total_cmp);
        values.dedup();
        assert_eq!(values, allowed);
    };
    all_are(Augment::default().with(Fill(20)).with(Double), &[40.0]);
    all_are(Augment::default().with(Double).with(Fill(20)), &[20.0]);
    let mix = Some(MixupCutmix { mixup: 1.0, cutmix: 0.0 });
    all_are(Augment { mix, ..Augment::default() }.with(Fill(20)), &[20.0]);
    // Erased pixels keep the mean colour.
    let random_erasing = Some(RandomErasing { probability: 1.0, ..RandomErasing::default() });
    let augment = Augment { random_erasing, ..Augment::default() }.with(Fill(20));
    let found = crops(Store::Pixels, SIZE, &with(augment), 0, 0);
    let others = found.iter().flatten().filter(|&&v| v != 20.0).count();
    assert!(others > 17 * SIZE, "{others}");
}

/// Each image, epoch, seed and place in the chain has draws of its own.
#[test]
fn draws_differ_by_image_epoch_seed_and_place() {
    let draws = |options: &LoaderOptions, epoch| crops(Store::Pixels, 4, options, epoch, 0)[0].clone();
    let options = with(Augment::default().with(Draws));
    let base = draws(&options, 1);
    assert_ne!(base.index_axis(Axis(0), 0), base.index_axis(Axis(0), 1));
    assert_ne!(base, draws(&options, 2));
    assert_ne!(base, draws(&LoaderOptions { seed: 1, ..options.clone() }, 1));
    let later = with(Augment::default().with(Fill(0)).with(Draws));
    assert_ne!(base, draws(&later, 1));
    assert_eq!(base, draws(&options, 1));
    // Nor do they repeat those of the built-in augmentations: mirroring stays as it was.
    let mirrored = |augment: Augment| {
        let loader = Loader::new(Noise::new(Store::Pixels, 17), CropAndNormalize::crop_only(4), with(augment)).unwrap();
        let batches = loader.batches(0, 0).map(|batch| batch.unwrap());
        batches.flat_map(|batch| batch.crops.clone()).collect::<Vec<_>>()
    };
    let augment = Augment { random_crop: true, mirror: true, ..Augment::default() };
    assert_eq!(mirrored(augment.clone()), mirrored(augment.with(Draws)));
}

#[test]
fn a_panic_is_an_error_of_the_batch() {
    #[derive(Debug)]
    struct Panics;

    impl PixelAugmentation for Panics {
        fn apply(&self, _: ArrayViewMut3<'_, u8>, _: &mut SampleRng) {
            panic!("no such colour");
        }
    }

    let options = with(Augment::default().with(Panics));
    let loader = Loader::new(Noise::new(Store::Memory, 3), CropAndNormalize::crop_only(4), options).unwrap();
    let error = loader.batches(0, 0).next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "a worker thread failed: no such colour");
}

#[test]
fn augmentations_are_equal_if_they_are_the_same_objects() {
    let augment = Augment { mirror: true, ..Augment::default() }.with(Double);
    assert_eq!(augment, augment.clone());
    assert_ne!(augment, Augment { mirror: true, ..Augment::default() }.with(Double));
    assert_ne!(augment, Augment { mirror: false, ..augment.clone() });
    assert_ne!(augment, Augment { crop_group: 3, ..augment.clone() });
}
