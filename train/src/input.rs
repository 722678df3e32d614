//! The input of a network: crop, normalization and augmentation, from the network's file and the configuration.

use data::{
    Augment, ColourJitter, ColourNoise, ColourRule, CropAndNormalize, MixupCutmix, Pack, RandomErasing, ResizedCrop,
};
use layers::model::{ChannelOrder, Input, Mean, Model};

use crate::config::{Colour, Crop, DataConfig, Pca};
use crate::mean::mean_colour;
use crate::packs::PackMeans;
use crate::{Error, Remedy, Result};

/// Crop and normalization of stored images of `size` x `size`, from the `[input]` of a network's file.
///
/// # Errors
/// [`Error::Setting`] if the crop does not fit the images, or a mean that the network needs is not in `means`.
pub fn crop_and_normalize(input: &Input, means: &PackMeans, size: usize) -> Result<CropAndNormalize> {
    if input.crop == 0 || input.crop > size {
        let what = format!("the network takes crops of {}, the images are {size} x {size}", input.crop);
        return Err(Error::setting("input.crop", what).with_remedy(Remedy::LargerImages));
    }
    let missing = |what: &str| {
        let what =
            format!("the network subtracts the {what} of the images it was trained on, and the weights have none");
        Error::setting("input.mean", what).with_remedy(Remedy::GiveMean)
    };
    let mean = match &input.mean {
        Mean::None => data::Mean::None,
        Mean::Rgb(rgb) => data::Mean::Rgb(rgb.map(|v| v as f32)),
        Mean::PackRgb => {
            let rgb = means.rgb.ok_or_else(|| missing("mean colour"))?;
            data::Mean::Rgb(rgb.map(|v| (f64::from(v) * input.scale) as f32))
        }
        Mean::PackImage => {
            let image = means.image.as_ref().ok_or_else(|| missing("mean image"))?;
            if image.dim() != (size, size, 3) {
                let (height, width, _) = image.dim();
                let [r, g, b] = mean_colour(image);
                let what = format!(
                    "the mean image is {height} x {width}, the images are {size} x {size} (a colour fits all sizes; \
                     this image's is {r:.3},{g:.3},{b:.3})"
                );
                return Err(Error::setting("input.mean", what).with_remedy(Remedy::ImagesOfSize(height)));
            }
            data::Mean::Image(image.mapv(|v| (f64::from(v) * input.scale) as f32))
        }
    };
    Ok(CropAndNormalize {
        crop: input.crop,
        bgr: input.channels == ChannelOrder::Bgr,
        scale: input.scale as f32,
        mean,
        deviation: input.deviation.map(|d| d.map(|v| v as f32)),
    })
}

/// Augmentation of training images.
///
/// # Errors
/// [`Error::Setting`] if the colour components are still to be read from a file.
pub fn augment(config: &DataConfig) -> Result<Option<Augment>> {
    let rule = match config.colour {
        Colour::None => None,
        Colour::Paper => Some(ColourRule::Paper),
        Colour::AlexnetCode => Some(ColourRule::AuthorsCode),
    };
    let components = match &config.pca {
        None => None,
        Some(Pca::Values(components)) => Some(*components),
        Some(Pca::File(path)) => {
            return Err(Error::setting("data.pca", format!("{} has not been read", path.display())));
        }
    };
    let pair = |range: [f64; 2]| range.map(|v| v as f32);
    let scale = pair(config.crop_scale);
    let ratio = pair(config.crop_ratio);
    let changes = [config.brightness, config.contrast, config.saturation, config.hue, config.mixup, config.cutmix];
    let [brightness, contrast, saturation, hue, mixup, cutmix] = changes.map(|v| v as f32);
    let jitter = ColourJitter { brightness, contrast, saturation, hue };
    let probability = config.random_erasing as f32;
    let mix = MixupCutmix { mixup, cutmix };
    let random_erasing = RandomErasing {
        probability,
        scale: pair(config.random_erasing_scale),
        ratio: pair(config.random_erasing_ratio),
    };
    Ok(config.augment.then(|| Augment {
        random_crop: config.crop == Crop::Random,
        mirror: config.mirror,
        crop_group: config.crop_group,
        colour_noise: rule.map(|rule| ColourNoise { rule, deviation: config.colour_deviation as f32, components }),
        resized_crop: (config.crop == Crop::Resized).then_some(ResizedCrop { scale, ratio }),
        jitter: (jitter != ColourJitter::default()).then_some(jitter),
        random_erasing: (probability > 0.0).then_some(random_erasing),
        mix: (mix != MixupCutmix::default()).then_some(mix),
        ..Augment::default()
    }))
}

/// Sets a network's number of classes and image size to the pack's.
///
/// # Errors
/// [`Error::Layers`] if the network cannot have that many classes.
pub fn fit_to_pack(model: &mut Model, pack: &Pack) -> Result<()> {
    model.set_classes(pack.classes().len())?;
    model.input.size = pack.size();
    Ok(())
}

/// Fails unless `found` equals `expected`, in the same order.
///
/// # Errors
/// [`Error::Setting`] with the name of the setting and the first difference.
pub fn check_classes(setting: &str, expected: &[String], found: &[String]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let at = expected.iter().zip(found).position(|(a, b)| a != b).unwrap_or(expected.len().min(found.len()));
    let show = |names: &[String]| names.get(at).map_or("none".to_string(), |n| format!("{n:?}"));
    let what = format!(
        "its {} classes are not the {} of the training: class {at} is {}, expected {}",
        found.len(),
        expected.len(),
        show(found),
        show(expected)
    );
    Err(Error::setting(setting, what))
}
