//! A device makes the crops of the loader, bit for bit.

use std::sync::Arc;

use data::{
    Augment, Batch, ColourJitter, ColourNoise, ColourRule, CropAndNormalize, Loader, LoaderOptions, Mean, MixupCutmix,
    Pack, PackOptions, RandomErasing, ResizedCrop, Shuffle, Storage, Views,
};
use proptest::prelude::*;
use tensor::ops::InputTransform;
use tensor::{Cpu, DeviceImages};

/// Packs of raw images and of JPEGs: 23 images of 32 x 32 in three classes.
fn packs() -> [Arc<Pack>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    for number in 0..23u32 {
        let class = source.join(["ant", "bee", "cow"][number as usize % 3]);
        std::fs::create_dir_all(&class).unwrap();
        let image = image::RgbImage::from_fn(40 + number % 7, 33 + number % 5, |x, y| {
            let noise = (x * 7919) ^ (y * 104_729) ^ (number * 31);
            image::Rgb([0, 8, 16].map(|shift| (noise.wrapping_mul(2_654_435_761) >> shift) as u8))
        });
        image.save(class.join(format!("{number:02}.png"))).unwrap();
    }
    [Storage::Raw, Storage::JPEG].map(|storage| {
        let out = folder.path().join(storage.to_string());
        let options = PackOptions { size: 32, shard_bytes: 20_000, storage, ..PackOptions::new(&source, &out) };
        data::pack(&options, |_| ()).unwrap();
        Arc::new(Pack::open(&out).unwrap())
    })
}

/// The network's input as the CPU's kernel makes it.
fn transformed(loader: &Loader, batch: Batch) -> Vec<f32> {
    let cpu = Cpu::<f32>::new(2).unwrap();
    let size = batch.images.size();
    let batch = batch.map_images(|images| DeviceImages::new(&cpu, size, images)).unwrap();
    let transform = InputTransform::new(&cpu, loader.input()).unwrap();
    transform.apply(&batch.images, &batch.crops).unwrap().to_vec().unwrap()
}

/// The augmentation selected by these bits.
fn augment_of(bits: u8, noise: Option<ColourNoise>, crop_group: usize) -> Augment {
    let bit = |n: u8| bits >> n & 1 == 1;
    let mix = |n: u8| if bit(n) { 0.5 } else { 0.0 };
    Augment {
        random_crop: bit(5),
        mirror: bit(6),
        colour_noise: noise,
        crop_group,
        resized_crop: bit(0).then(ResizedCrop::default),
        jitter: bit(1).then_some(ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        random_erasing: bit(2).then(RandomErasing::default),
        mix: (bit(3) || bit(4)).then(|| MixupCutmix { mixup: mix(3), cutmix: mix(4) }),
        ..Augment::default()
    }
}

#[test]
fn devices_make_the_loaders_crops_bit_for_bit() {
    let packs = packs();
    let noise = prop::option::of((any::<bool>(), 0.0..0.5f32).prop_map(|(paper, deviation)| ColourNoise {
        rule: if paper { ColourRule::Paper } else { ColourRule::AuthorsCode },
        deviation,
        components: None,
    }));
    let augment = prop::option::of(
        (any::<u8>(), noise, 0..9usize).prop_map(|(bits, noise, crop_group)| augment_of(bits, noise, crop_group)),
    );
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
        let options = LoaderOptions { batch, seed, shuffle, augment, views, threads: 2, ..LoaderOptions::default() };
        let input = CropAndNormalize { crop, bgr, scale, mean, deviation };
        let loader = Loader::new(Arc::clone(pack), input, options).unwrap();
        for batch in loader.batches(epoch, first) {
            let batch = batch.unwrap();
            let crops = loader.crops(&batch).unwrap();
            let found = transformed(&loader, batch);
            prop_assert_eq!(crops.len(), found.len());
            prop_assert!(crops.iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits()), "other bits");
        }
    });
}
