//! Generates a few images of two classes, packs them, and loads batches as for training.
//!
//! `cargo run -p alexnet-data --example pack_and_load`

use std::path::Path;
use std::sync::Arc;

use alexnet_data::{
    Augment, ColourJitter, ColourNoise, ColourRule, CropAndNormalize, Loader, LoaderOptions, Mean, MixupCutmix, Pack,
    PackOptions, RandomErasing, ResizedCrop, Shuffle, pack,
};
use image::{Rgb, RgbImage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("images");
    for (class, vertical) in [("columns", true), ("rows", false)] {
        draw(&source.join(class), vertical)?;
    }

    let out = folder.path().join("images.pack");
    let report = pack(&PackOptions { size: 64, ..PackOptions::new(&source, &out) }, |_| ())?;
    println!("{} images of {} classes, {} bytes", report.images, report.classes, report.bytes);

    let pack = Arc::new(Pack::open(&out)?);
    let statistics = pack.statistics();
    println!("mean colour {:?}, colour eigenvalues {:?}", statistics.mean_rgb, statistics.eigenvalues);

    // Pixels minus the mean image, as in the paper.
    let mean = Mean::Image(statistics.mean_image.clone());
    let input = CropAndNormalize { mean, ..CropAndNormalize::crop_only(56) };
    let colour_noise = Some(ColourNoise { rule: ColourRule::AuthorsCode, deviation: 0.1, components: None });
    let augment = Some(Augment { random_crop: true, mirror: true, colour_noise, ..Augment::default() });
    let options = LoaderOptions { batch: 8, seed: 1, shuffle: Shuffle::Full, augment, ..LoaderOptions::default() };
    let loader = Loader::new(pack, input.clone(), options)?;
    for batch in loader.crop_batches(0, 0).take(2) {
        let batch = batch?;
        let mean = batch.images.mean().unwrap_or(0.0);
        println!("images {:?} of mean {mean:.2}, labels {:?}", batch.images.shape(), batch.labels);
    }

    // Later augmentations and windows of 64 KB, as if the pack were larger than memory.
    let loader = Loader::new(Arc::clone(loader.dataset()), input, later_augmentations())?;
    for batch in loader.batches(0, 0).take(2) {
        let batch = batch?;
        let mixed = batch.mixed.iter().map(|other| format!("{} to {:.2}", other.label, other.share));
        println!("labels {:?}, mixed with {:?}", batch.labels, mixed.collect::<Vec<_>>());
        println!("images of {0} x {0}, the first crop is {1:?}", batch.images.size(), batch.crops[0]);
    }
    Ok(())
}

fn later_augmentations() -> LoaderOptions {
    let augment = Augment {
        mirror: true,
        resized_crop: Some(ResizedCrop::default()),
        jitter: Some(ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        random_erasing: Some(RandomErasing::default()),
        mix: Some(MixupCutmix { mixup: 0.2, cutmix: 1.0 }),
        ..Augment::default()
    };
    let shuffle = Shuffle::Window { bytes: 64 << 10 };
    LoaderOptions { batch: 4, seed: 1, shuffle, augment: Some(augment), ..LoaderOptions::default() }
}

/// Draws twelve images of stripes.
fn draw(folder: &Path, vertical: bool) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    for number in 0..12u32 {
        let image = RgbImage::from_fn(120, 90 + number, |x, y| {
            let along = if vertical { x } else { y };
            let light = if (along / (4 + number)).is_multiple_of(2) { 220 } else { 40 };
            Rgb([light, (light / 2).wrapping_add(number as u8 * 9), 255 - light])
        });
        image.save(folder.join(format!("{number:02}.jpg")))?;
    }
    Ok(())
}
