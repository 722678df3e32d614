//! Images of an own source, with an own augmentation, train a network of candle.

use alexnet_data::ndarray::{Array3, ArrayViewMut3};
use alexnet_data::{
    Augment, BadImage, CropAndNormalize, Dataset, Image, ImageContent, Layout, Loader, LoaderOptions, Mean,
    PixelAugmentation, SampleRng, Shuffle,
};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Module, Optimizer, SGD, VarBuilder, VarMap, conv2d, linear, loss, seq};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Drawn images of 32 x 32 with a bright square in one of four corners, which is the class.
struct Corners {
    classes: Vec<String>,
}

impl Dataset for Corners {
    fn len(&self) -> usize {
        512
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

    fn read(&self, index: usize) -> std::result::Result<ImageContent, BadImage> {
        let corner = [16 * (index % 4 / 2), 16 * (index % 2)];
        let side = 6 + index / 4 % 8;
        let is_bright = |y: usize, x: usize| y.wrapping_sub(corner[0]) < side && x.wrapping_sub(corner[1]) < side;
        let pixels = Array3::from_shape_fn([32, 32, 3], |(y, x, _)| if is_bright(y, x) { 220 } else { 60 });
        let image = Image::new(32, 32, pixels.into_raw_vec_and_offset().0);
        image.map(ImageContent::Pixels).ok_or(BadImage::Empty)
    }
}

/// Adds to each channel a constant of its own, up to 30 levels up or down.
#[derive(Debug)]
struct Tint;

impl PixelAugmentation for Tint {
    fn apply(&self, mut pixels: ArrayViewMut3<'_, u8>, rng: &mut SampleRng) {
        let levels: [i16; 3] = std::array::from_fn(|_| rng.below(61) as i16 - 30);
        pixels.indexed_iter_mut().for_each(|((_, _, c), v)| *v = (i16::from(*v) + levels[c]).clamp(0, 255) as u8);
    }
}

fn main() -> Result<()> {
    let corners = Corners { classes: ["nw", "ne", "sw", "se"].map(String::from).to_vec() };
    let input = CropAndNormalize { scale: 1.0 / 255.0, mean: Mean::Rgb([0.3; 3]), ..CropAndNormalize::crop_only(28) };
    let augment = Augment { random_crop: true, ..Augment::default() }.with(Tint);
    let options = LoaderOptions {
        batch: 32,
        shuffle: Shuffle::Full,
        augment: Some(augment),
        layout: Layout::Nchw,
        ..LoaderOptions::default()
    };
    let loader = Loader::new(corners, input, options)?;

    let variables = VarMap::new();
    let parameters = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let network = seq()
        .add(conv2d(3, 8, 5, Default::default(), parameters.pp("conv"))?)
        .add_fn(|x| x.relu()?.max_pool2d(4)?.flatten_from(1))
        .add(linear(8 * 6 * 6, 4, parameters.pp("fc"))?);
    let mut sgd = SGD::new(variables.all_vars(), 0.1)?;
    let mut losses = Vec::new();
    for epoch in 0..4 {
        for batch in loader.crop_batches(epoch, 0) {
            let batch = batch?;
            let floats = batch.images.as_slice().unwrap_or_default();
            let images = Tensor::from_slice(floats, (batch.labels.len(), 3, 28, 28), &Device::Cpu)?;
            let loss = loss::cross_entropy(&network.forward(&images)?, &Tensor::new(&batch.labels[..], &Device::Cpu)?)?;
            sgd.backward_step(&loss)?;
            losses.push(loss.to_scalar::<f32>()?);
        }
    }
    println!("{} batches, loss {:.3} -> {:.3}", losses.len(), losses[0], losses[losses.len() - 1]);
    assert!(losses[losses.len() - 1] < 0.3 * losses[0], "the loss must fall");
    Ok(())
}
