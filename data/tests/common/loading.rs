//! A pack and a loader's options for tests of loading and augmentation.

use std::sync::Arc;

use alexnet_data::{Augment, ColourNoise, ColourRule, CropAndNormalize, LoaderOptions, Pack, Shuffle};

use super::Setting;

pub fn input(crop: usize) -> CropAndNormalize {
    CropAndNormalize::crop_only(crop)
}

pub fn augment() -> Option<Augment> {
    let colour_noise = Some(ColourNoise { rule: ColourRule::AuthorsCode, deviation: 0.1, components: None });
    Some(Augment { random_crop: true, mirror: true, colour_noise, ..Augment::default() })
}

pub fn training(batch: usize, threads: usize) -> LoaderOptions {
    LoaderOptions { batch, threads, seed: 9, shuffle: Shuffle::Full, augment: augment(), ..LoaderOptions::default() }
}

pub fn packed() -> Arc<Pack> {
    let setting = Setting::new();
    setting.pack("out");
    setting.open("out")
}
