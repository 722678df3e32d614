//! An own augmentation in the loader's chain, and batches as PyTorch, candle and burn lay them out, as plain slices.
//!
//! `cargo run -p alexnet-data --example own_augmentation --no-default-features`

use alexnet_data::ndarray::{ArrayViewMut3, Axis};
use alexnet_data::{
    Augment, BadImage, CropAndNormalize, Dataset, Image, ImageContent, Layout, Loader, LoaderOptions, Mean,
    PixelAugmentation, SampleRng, Shuffle,
};

/// Makes some pixels black and as many white.
#[derive(Debug)]
struct SaltAndPepper {
    /// Fraction of the pixels.
    share: f64,
}

impl PixelAugmentation for SaltAndPepper {
    fn apply(&self, mut pixels: ArrayViewMut3<'_, u8>, rng: &mut SampleRng) {
        for mut pixel in pixels.lanes_mut(Axis(2)) {
            if rng.uniform() < self.share {
                pixel.fill(if rng.below(2) == 0 { 0 } else { 255 });
            }
        }
    }
}

/// Drawn images of 32 x 32: bright towards one of the four sides, which is their class.
struct Slopes {
    classes: Vec<String>,
}

impl Dataset for Slopes {
    fn len(&self) -> usize {
        64
    }

    fn size(&self) -> usize {
        32
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        (index % 4) as u32
    }

    fn read(&self, index: usize) -> Result<ImageContent, BadImage> {
        let light = |x: usize, y: usize| match index % 4 {
            0 => 31 - y,
            1 => x,
            2 => y,
            _ => 31 - x,
        };
        let pixels = (0..32 * 32).flat_map(|at| [(8 * light(at % 32, at / 32)) as u8; 3]).collect();
        Image::new(32, 32, pixels).map(ImageContent::Pixels).ok_or(BadImage::Empty)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slopes = Slopes { classes: ["up", "right", "down", "left"].map(String::from).to_vec() };
    let input = CropAndNormalize {
        scale: 1.0 / 255.0,
        mean: Mean::Rgb([0.5; 3]),
        deviation: Some([0.25; 3]),
        ..CropAndNormalize::crop_only(28)
    };
    let augment = Augment { random_crop: true, ..Augment::default() }.with(SaltAndPepper { share: 0.05 });
    let options = LoaderOptions {
        batch: 16,
        seed: 2012,
        shuffle: Shuffle::Full,
        augment: Some(augment),
        layout: Layout::Nchw,
        ..LoaderOptions::default()
    };
    let loader = Loader::new(slopes, input, options)?;
    let len = loader.input().crop_len();
    for epoch in 0..2 {
        for batch in loader.batches(epoch, 0) {
            let batch = batch?;
            // `[16, 3, 28, 28]` as a plain slice, for `Tensor::from_slice` of candle or `TensorData::new` of burn.
            let mut values = vec![0.0f32; batch.crops.len() * len];
            loader.write_crops(&batch, &mut values)?;
            let first = &values[..len];
            let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
            let class = &loader.dataset().classes()[batch.labels[0] as usize];
            let upper = mean(&first[..28 * 14]);
            let lower = mean(&first[28 * 14..28 * 28]);
            println!("epoch {epoch}: {class:>5}, red of the upper half {upper:5.2}, of the lower {lower:5.2}");
        }
    }
    Ok(())
}
