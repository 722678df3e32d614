//! Batches of own storage: order, values, and errors.

use std::sync::Arc;

use alexnet_data::{
    Augment, Batch, ColourJitter, ColourNoise, ColourRule, CropAndNormalize, Dataset, HostImages, Layout, Loader,
    LoaderOptions, Mean, MixupCutmix, RandomErasing, ResizedCrop, Shuffle, Statistics, StatisticsBuilder, Views,
};
use proptest::prelude::*;

use crate::{Noise, SIZE, STORES, Store};

fn batches(loader: &Loader, epoch: u64, first: usize) -> Vec<Batch> {
    loader.batches(epoch, first).map(|batch| batch.unwrap()).collect()
}

fn indices(batches: &[Batch]) -> Vec<u64> {
    batches.iter().flat_map(|batch| batch.indices.clone()).collect()
}

/// The augmentation selected by these bits.
fn augment_of(bits: u8) -> Augment {
    let bit = |n: u8| bits >> n & 1 == 1;
    Augment {
        random_crop: bit(0),
        mirror: bit(1),
        colour_noise: bit(2).then_some(ColourNoise { rule: ColourRule::Paper, deviation: 0.1, components: None }),
        resized_crop: bit(3).then(ResizedCrop::default),
        jitter: bit(4).then_some(ColourJitter { brightness: 0.4, ..ColourJitter::default() }),
        random_erasing: bit(5).then(RandomErasing::default),
        mix: bit(6).then_some(MixupCutmix { mixup: 0.5, cutmix: 0.5 }),
        ..Augment::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Files, pixels and memory give the same bits, whatever is done to them.
    #[test]
    fn storages_give_the_same_batches(
        n in 1..20usize, batch in 1..8usize, crop in 1..=SIZE, bits: u8, seed: u64, full: bool, threads in 1..4usize,
    ) {
        let shuffle = if full { Shuffle::Full } else { Shuffle::Window { bytes: 3000 } };
        let options =
            LoaderOptions { batch, seed, shuffle, threads, augment: Some(augment_of(bits)), ..LoaderOptions::default() };
        let mut all = Vec::new();
        for store in STORES {
            let noise = Noise::new(store, n);
            let mean = noise.known_statistics().unwrap().mean_image.clone();
            let input = CropAndNormalize { mean: Mean::Image(mean), ..CropAndNormalize::crop_only(crop) };
            let loader = Loader::new(noise, input, options.clone()).unwrap();
            let found = batches(&loader, 2, 0);
            let crops: Vec<u32> = found.iter().flat_map(|batch| loader.crops(batch).unwrap()).map(f32::to_bits).collect();
            let labels: Vec<u32> = found.iter().flat_map(|batch| batch.labels.clone()).collect();
            all.push((crops, labels, indices(&found)));
        }
        prop_assert!(all[0] == all[1] && all[0] == all[2]);
    }

    /// Batches of crops are the crops of batches, in either layout, from any batch on.
    #[test]
    fn crop_batches_are_the_crops_of_batches(
        n in 1..20usize, batch in 1..8usize, crop in 1..=SIZE, bits: u8, seed: u64, views in 0..3usize, nchw: bool,
    ) {
        let layout = if nchw { Layout::Nchw } else { Layout::Nhwc };
        let augment = (views == 0).then(|| augment_of(bits));
        let views = if views == 2 { Views::Ten } else { Views::Centre };
        let options = LoaderOptions { batch, seed, threads: 2, augment, views, layout, ..LoaderOptions::default() };
        for store in STORES {
            let noise = Noise::new(store, n);
            let mean = noise.known_statistics().unwrap().mean_image.clone();
            let input = CropAndNormalize { mean: Mean::Image(mean), ..CropAndNormalize::crop_only(crop) };
            let loader = Loader::new(noise, input, options.clone()).unwrap();
            let first = n.div_ceil(batch) / 2;
            let mut crop_batches = loader.crop_batches(3, first);
            for expected in batches(&loader, 3, first) {
                let found = crop_batches.next().unwrap().unwrap();
                prop_assert_eq!(found.images.view(), loader.crops(&expected).unwrap());
                prop_assert!(found.images.as_slice().is_some(), "not in standard layout");
                prop_assert_eq!(&found.labels, &expected.labels);
                prop_assert_eq!(&found.indices, &expected.indices);
                prop_assert_eq!(&found.mixed, &expected.mixed);
            }
            prop_assert!(crop_batches.next().is_none());
        }
    }

    /// Each image comes once, in an order that depends on seed and epoch alone, and an epoch starts anywhere.
    #[test]
    fn an_epoch_is_a_permutation(
        n in 1..60usize, batch in 1..9usize, seed: u64, epoch in 0..5u64, order in 0..3usize, drop_last: bool,
    ) {
        let shuffle = [Shuffle::None, Shuffle::Full, Shuffle::Window { bytes: 4000 }][order];
        let options = LoaderOptions { batch, seed, shuffle, drop_last, threads: 2, ..LoaderOptions::default() };
        let loader = Loader::new(Noise::new(Store::Memory, n), CropAndNormalize::crop_only(2), options.clone()).unwrap();
        let found = batches(&loader, epoch, 0);
        prop_assert_eq!(found.len(), loader.batches_per_epoch());
        let all = indices(&found);
        prop_assert_eq!(all.len(), if drop_last { n / batch * batch } else { n });
        let mut sorted = all.clone();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(sorted.len(), all.len(), "an image twice");
        if order == 0 {
            prop_assert!(all.iter().copied().eq(0..all.len() as u64));
        }
        for batch in &found {
            prop_assert!(batch.labels.iter().zip(&batch.indices).all(|(&label, index)| u64::from(label) == index % 3));
        }
        let first = found.len() / 2;
        prop_assert_eq!(indices(&batches(&loader, epoch, first)), indices(&found[first..]));
        let other = LoaderOptions { batch: batch + 3, drop_last: false, ..options };
        let other = Loader::new(Noise::new(Store::Pixels, n), CropAndNormalize::crop_only(2), other).unwrap();
        prop_assert_eq!(&indices(&batches(&other, epoch, 0))[..all.len()], &all[..]);
    }

    #[test]
    fn statistics_are_those_of_a_plain_computation(n in 1..12usize) {
        let noise = Noise::new(Store::Files, n);
        let statistics = Statistics::of(&noise).unwrap();
        let mut builder = StatisticsBuilder::new(SIZE).unwrap();
        // Backwards: the order does not matter.
        (0..n).rev().for_each(|index| builder.push(noise.image(index)).unwrap());
        prop_assert_eq!(builder.finish(), Some(statistics.clone()));
        let values = (0..n).flat_map(|index| noise.image(index).iter().step_by(3));
        let mean = values.map(|&v| f64::from(v)).sum::<f64>() / (n * SIZE * SIZE) as f64;
        prop_assert!((f64::from(statistics.mean_rgb[0]) - mean).abs() < 1e-4);
    }
}

#[test]
fn epochs_and_seeds_have_other_orders() {
    let order = |seed, epoch| {
        let options = LoaderOptions { shuffle: Shuffle::Full, seed, ..LoaderOptions::default() };
        let loader = Loader::new(Noise::new(Store::Memory, 100), CropAndNormalize::crop_only(2), options).unwrap();
        indices(&batches(&loader, epoch, 0))
    };
    assert_eq!(order(1, 1), order(1, 1));
    assert_ne!(order(1, 1), order(1, 2));
    assert_ne!(order(1, 1), order(2, 1));
}

#[test]
fn images_in_memory_are_not_copied() {
    let noise = Arc::new(Noise::new(Store::Memory, 5));
    let loader = Loader::new(Arc::clone(&noise), CropAndNormalize::crop_only(SIZE), LoaderOptions::default()).unwrap();
    assert!(loader.reads_the_map());
    let batch = &batches(&loader, 0, 0)[0];
    assert!((0..5).all(|index| batch.images.image(index).as_ptr() == noise.image(index).as_ptr()));
    let crops = loader.crops(batch).unwrap();
    let pixels = (0..5).flat_map(|index| noise.image(index)).map(|&v| f32::from(v));
    assert!(crops.into_iter().eq(pixels));
    // Shared by a trait object too.
    let shared: Arc<dyn Dataset> = noise;
    let ten = LoaderOptions { views: Views::Ten, ..LoaderOptions::default() };
    let loader = Loader::new(shared, CropAndNormalize::crop_only(4), ten).unwrap();
    assert_eq!(loader.crops(&batches(&loader, 0, 0)[0]).unwrap().shape(), [50, 4, 4, 3]);
}

#[test]
fn errors_of_the_storage_name_the_image() {
    for store in STORES {
        let noise = Noise { broken: Some(3), ..Noise::new(store, 5) };
        let loader = Loader::new(noise, CropAndNormalize::crop_only(3), LoaderOptions::default()).unwrap();
        let error = loader.batches(0, 0).next().unwrap().unwrap_err().to_string();
        let expected = match store {
            Store::Memory => "noise/3: damaged: 431 bytes in memory, expected 432",
            _ => "noise/3: cannot be read: the tape is torn",
        };
        assert_eq!(error, expected);
    }
}

#[test]
fn augmentations_that_need_statistics_say_so() {
    let check = |augment: Augment, expected: &str| {
        let noise = Noise::new(Store::Pixels, 4).without_statistics();
        let options = LoaderOptions { augment: Some(augment), ..LoaderOptions::default() };
        let loader = Loader::new(noise, CropAndNormalize::crop_only(3), options);
        assert!(loader.unwrap_err().to_string().starts_with(expected), "{expected}");
    };
    check(augment_of(1 << 2), "colour noise: expected components, or a data set with statistics");
    check(augment_of(1 << 5), "random erasing: expected a data set with statistics");
    let components = Noise::new(Store::Pixels, 4).known_statistics().map(|statistics| statistics.components());
    let colour_noise = Some(ColourNoise { rule: ColourRule::Paper, deviation: 0.1, components });
    let augment = Some(Augment { colour_noise, ..Augment::default() });
    let options = LoaderOptions { augment, ..LoaderOptions::default() };
    let noise = Noise::new(Store::Pixels, 4).without_statistics();
    assert!(Loader::new(noise, CropAndNormalize::crop_only(3), options).is_ok());
}

#[test]
fn labels_are_indices_into_the_classes() {
    let load = |noise: Noise| Loader::new(noise, CropAndNormalize::crop_only(SIZE), LoaderOptions::default());
    let two = Noise::new(Store::Pixels, 7).with_classes(&["a", "b"]);
    let error = load(two).unwrap_err().to_string();
    assert_eq!(error, "label: expected less than 2, the number of classes, got 2 for image 2, noise/2");

    let unlabelled = load(Noise::new(Store::Pixels, 7).with_classes(&[])).unwrap();
    assert_eq!(batches(&unlabelled, 0, 0)[0].labels, [0, 1, 2, 0, 1, 2, 0]);
}
