//! An own source with an own decoder, packed and loaded: images in a format that no decoder here knows.
//!
//! `cargo run -p alexnet-data --example own_source`

use std::path::Path;
use std::sync::Arc;

use alexnet_data::{
    Augment, BadImage, CropAndNormalize, Image, ImageContent, Loader, LoaderOptions, Mean, Pack, PackWriter,
    PackWriterOptions, Shuffle,
};

/// Decodes an own format: a width, a height, and pairs of a length and a grey.
fn decode(bytes: &[u8]) -> Result<Image, BadImage> {
    let [width, height, runs @ ..] = bytes else { return Err(BadImage::CutShort("no header".into())) };
    let pixels = runs.chunks_exact(2).flat_map(|run| [run[1]; 3].repeat(run[0].into())).collect();
    let wrong = || BadImage::Damaged("its runs do not fill it".into());
    Image::new(usize::from(*width), usize::from(*height), pixels).ok_or_else(wrong)
}

/// Draws stripes as wide as the number of their class, in the own format; one of the images is cut short.
fn draw(folder: &Path) -> std::io::Result<()> {
    for number in 0..20u8 {
        let stripe = 1 + number % 2 * 7;
        let mut bytes = vec![64, 48];
        for at in 0..64 * 48 / u16::from(stripe) {
            bytes.extend([stripe, if at % 2 == 0 { 40 } else { 200 + number }]);
        }
        bytes.truncate(if number == 13 { 99 } else { bytes.len() });
        std::fs::write(folder.join(format!("{number:02}.stripes")), bytes)?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    draw(folder.path())?;

    // After a crash, the same loop continues: images of finished shards cost nothing but their reading.
    let out = folder.path().join("stripes.pack");
    let options = PackWriterOptions { size: 32, max_bad: 1, ..PackWriterOptions::default() };
    let mut writer = PackWriter::create(&out, ["narrow", "wide"], options)?;
    for number in 0..20u32 {
        let name = format!("{number:02}.stripes");
        let label = number % 2;
        match decode(&std::fs::read(folder.path().join(&name))?) {
            Ok(image) => writer.push(&name, ImageContent::Pixels(image), label)?,
            Err(reason) => writer.reject(&name, reason, label)?,
        }
    }
    let report = writer.finish()?;
    println!("{} images of {} classes, {} rejected:", report.images, report.classes, report.rejected.len());
    for rejected in &report.rejected {
        println!("  {}: {}", rejected.name, rejected.reason);
    }

    let pack = Arc::new(Pack::open(&out)?);
    let mean = Mean::Rgb(pack.statistics().mean_rgb);
    let input = CropAndNormalize { mean, ..CropAndNormalize::crop_only(28) };
    let augment = Some(Augment { random_crop: true, mirror: true, ..Augment::default() });
    let options = LoaderOptions { batch: 8, shuffle: Shuffle::Full, augment, ..LoaderOptions::default() };
    let loader = Loader::new(pack, input, options)?;
    for batch in loader.crop_batches(0, 0) {
        let batch = batch?;
        let mean = batch.images.mean().unwrap_or(0.0);
        println!("{:?} of mean {mean:.2}, labels {:?}", batch.indices, batch.labels);
    }
    Ok(())
}
