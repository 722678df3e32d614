//! The loader's stages on one thread, on packs of drawn images of 256 x 256: `elements/s` are images.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use data::{
    Augment, ColourJitter, ColourNoise, ColourRule, CropAndNormalize, DecodeOptions, Loader, LoaderOptions, Mean,
    MixupCutmix, Pack, PackOptions, RandomErasing, ResizedCrop, Shuffle, Storage, Views, crop_image, decode_image,
    pack, resize_and_crop,
};

const IMAGES: u32 = 128;

/// Slopes, edges and some noise: as a JPEG about as long as a photograph.
fn draw(width: u32, height: u32, seed: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let mixed = (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ seed).wrapping_mul(2_654_435_761);
        let edge = if (x / 9 + y / 7 + seed).is_multiple_of(5) { 60 } else { 0 };
        image::Rgb([2, 5, 1].map(|slope| ((x * slope / 3 + y + seed * 17 + edge) % 190 + (mixed >> 27)) as u8))
    })
}

fn packed(folder: &Path, name: &str, storage: Storage) -> Arc<Pack> {
    let out = folder.join(name);
    pack(&PackOptions { storage, ..PackOptions::new(folder.join("images"), &out) }, |_| ()).unwrap();
    Arc::new(Pack::open(out).unwrap())
}

fn loader(pack: &Arc<Pack>, augment: Augment) -> Loader {
    let mean = Mean::Image(pack.statistics().mean_image.clone());
    let input = CropAndNormalize { mean, ..CropAndNormalize::crop_only(224) };
    let options = LoaderOptions { threads: 1, shuffle: Shuffle::Full, augment: Some(augment), ..Default::default() };
    Loader::new(Arc::clone(pack), input, options).unwrap()
}

/// Makes the floats of an epoch.
fn crop_all(loader: &Loader) {
    for batch in loader.crop_batches(0, 0) {
        black_box(batch.unwrap());
    }
}

fn stages(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for class in 0..2 {
        let class = folder.path().join(format!("images/{class}"));
        std::fs::create_dir_all(&class).unwrap();
        for i in 0..IMAGES / 2 {
            draw(340, 256, i * 31).save(class.join(format!("{i}.png"))).unwrap();
        }
    }
    let raw = packed(folder.path(), "raw", Storage::Raw);
    let jpeg = packed(folder.path(), "jpeg", Storage::JPEG);
    let paper = Augment {
        random_crop: true,
        mirror: true,
        colour_noise: Some(ColourNoise { rule: ColourRule::AuthorsCode, deviation: 0.1, components: None }),
        ..Augment::default()
    };
    let today = [
        ("resized crop", Augment { resized_crop: Some(ResizedCrop::default()), ..paper.clone() }),
        (
            "jitter",
            Augment {
                jitter: Some(ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
                ..paper.clone()
            },
        ),
        ("erasing", Augment { random_erasing: Some(RandomErasing::default()), ..paper.clone() }),
        ("mixup and cutmix", Augment { mix: Some(MixupCutmix { mixup: 0.2, cutmix: 1.0 }), ..paper.clone() }),
    ];
    let mut group = c.benchmark_group("loader");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(IMAGES)));
    for (name, pack) in [("raw", &raw), ("jpeg", &jpeg)] {
        let loader = loader(pack, paper.clone());
        group.bench_function(format!("{name} to floats"), |b| b.iter(|| crop_all(&loader)));
        group.bench_function(format!("{name} to images"), |b| b.iter(|| black_box(loader.batches(0, 0).count())));
    }
    for (name, augment) in today {
        let loader = loader(&raw, augment);
        group.bench_function(format!("raw, {name}"), |b| b.iter(|| crop_all(&loader)));
    }
    group.finish();
}

fn one_image(c: &mut Criterion) {
    let mut group = c.benchmark_group("one image");
    let mut bytes = std::io::Cursor::new(Vec::new());
    draw(500, 375, 3).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    let bytes = bytes.into_inner();
    let options = DecodeOptions::default();
    let image = decode_image(bytes.clone(), &options).unwrap();
    let square = resize_and_crop(&image, 256).unwrap();
    let input = CropAndNormalize::crop_only(224);
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode 500 x 375", |b| b.iter(|| decode_image(black_box(bytes.clone()), &options).unwrap()));
    group.bench_function("resize to 256", |b| b.iter(|| resize_and_crop(black_box(&image), 256).unwrap()));
    group.bench_function("ten crops", |b| {
        b.iter(|| crop_image(black_box(square.pixels()), 256, &input, Views::Ten).unwrap());
    });
    group.finish();
}

criterion_group!(benches, stages, one_image);
criterion_main!(benches);
