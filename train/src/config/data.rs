//! Settings of the packs, of augmentation and of loading.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::setting::{Condition, is_amount, is_fraction, rises_within, section};
use super::{ClassWeights, Pca, Shuffle};

/// Crops of the stored squares in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crop {
    /// At a random position.
    Random,
    /// From the centre.
    Centre,
    /// Of random area and aspect ratio, then resized.
    Resized,
}

/// PCA colour noise of training images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// None.
    None,
    /// The paper's formula: eigenvectors times eigenvalues.
    Paper,
    /// The authors' code: standard deviations.
    #[serde(alias = "source")]
    AlexnetCode,
}

/// Choice of the images of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Each image once.
    Natural,
    /// The same number of images of each class.
    Balanced,
}

const FULL: Condition = Condition {
    needed: "`data.shuffle` = `full` or `auto`",
    holds: |config| {
        config.data.sampling == Sampling::Natural || matches!(config.data.shuffle, Shuffle::Auto | Shuffle::Full)
    },
    decided_by: "data.shuffle",
    advice: "set data.shuffle=full",
};

const AUGMENT: Condition = Condition {
    needed: "`data.augment`",
    holds: |config| config.data.augment,
    decided_by: "data.augment",
    advice: "set data.augment=true, which also enables random crops and flips unless data.crop and data.mirror disable them",
};

const RESIZED_CROP: Condition = Condition {
    needed: "`data.crop = \"resized\"`",
    holds: |config| config.data.crop == Crop::Resized,
    decided_by: "data.crop",
    advice: "set data.crop=resized",
};

const CROP_OR_MIRROR: Condition = Condition {
    needed: "another `data.crop` than `centre`, or `data.mirror`",
    holds: |config| config.data.crop != Crop::Centre || config.data.mirror,
    decided_by: "data.crop",
    advice: "set data.crop=random or data.mirror=true: without crops and flips there is nothing to share",
};

const COLOUR: Condition = Condition {
    needed: "`data.colour`",
    holds: |config| config.data.colour != Colour::None,
    decided_by: "data.colour",
    advice: "set data.colour=paper, or alexnet-code",
};

const DEVIATION: Condition = Condition {
    needed: "`data.colour_deviation` above 0",
    holds: |config| config.data.colour == Colour::None || config.data.colour_deviation > 0.0,
    decided_by: "data.colour_deviation",
    advice: "set data.colour_deviation=0.1, the paper's",
};

const ERASING: Condition = Condition {
    needed: "`data.random_erasing` above 0",
    holds: |config| config.data.random_erasing > 0.0,
    decided_by: "data.random_erasing",
    advice: "set data.random_erasing=FRACTION, the fraction of images of which a rectangle is erased",
};

const WINDOW: Condition = Condition {
    needed: "`data.shuffle` = `window` or `auto`",
    holds: |config| matches!(config.data.shuffle, Shuffle::Auto | Shuffle::Window),
    decided_by: "data.shuffle",
    advice: "set data.shuffle=window",
};

section! {
    /// Packs, augmentation and loading
    data: DataConfig {
        /// Pack to train on.
        #[default_text = "none"]
        #[on_resume = Silent]
        train: PathBuf = PathBuf::new(),

        /// Pack to validate on after each epoch.
        #[default_text = "none"]
        #[range("a file or folder, or left out", |path| path.as_ref().is_none_or(|path| !path.as_os_str().is_empty()))]
        #[on_resume = Silent]
        val: Option<PathBuf> = None,

        /// Augmentation of training images; `false`: centre crops only.
        #[on_resume = Noted]
        #[timed = true]
        augment: bool = true,

        /// Crops: `random`, `centre`, or `resized` (of random area and aspect ratio, then resized).
        #[off = "centre"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        crop: Crop = Crop::Random,

        /// Range of the area of a resized crop, as fractions of the image.
        #[range("two rising numbers in [0.0001, 1]", |scale| rises_within(scale, 0.0001, 1.0))]
        #[needs(AUGMENT, RESIZED_CROP)]
        #[on_resume = Noted]
        #[timed = true]
        crop_scale: [f64; 2] = [0.08, 1.0],

        /// Range of the width of a resized crop divided by its height.
        #[default_text = "[3/4, 4/3]"]
        #[range("two rising numbers in [0.01, 100]", |ratio| rises_within(ratio, 0.01, 100.0))]
        #[needs(AUGMENT, RESIZED_CROP)]
        #[on_resume = Noted]
        #[timed = true]
        crop_ratio: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0],

        /// Horizontal flips with probability 1/2.
        #[off = "false"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        mirror: bool = true,

        /// Number of consecutive images that share one crop position and flip; 128 in the authors' code.
        #[alias = "shared"]
        #[range("at least 1", |images| *images > 0)]
        #[off = "1"]
        #[needs(AUGMENT, CROP_OR_MIRROR)]
        #[on_resume = Noted]
        #[timed = true]
        crop_group: usize = 1,

        /// PCA colour noise: `none`, `paper` (the formula) or `alexnet-code` (the authors' code).
        #[off = "none"]
        #[needs(AUGMENT, DEVIATION)]
        #[on_resume = Noted]
        #[timed = true]
        colour: Colour = Colour::None,

        /// Standard deviation of the PCA colour noise.
        #[range("a finite number of at least 0", is_amount)]
        #[off = "0"]
        #[needs(AUGMENT, COLOUR)]
        #[on_resume = Noted]
        #[timed = true]
        colour_deviation: f64 = 0.1,

        /// Brightness jitter b: a random factor from 1 - b to 1 + b; 0: none.
        #[range("in [0, 10]", |jitter| (0.0..=10.0).contains(jitter))]
        #[off = "0"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        brightness: f64 = 0.0,

        /// Contrast jitter, in the same way.
        #[range("in [0, 10]", |jitter| (0.0..=10.0).contains(jitter))]
        #[off = "0"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        contrast: f64 = 0.0,

        /// Saturation jitter, in the same way.
        #[range("in [0, 10]", |jitter| (0.0..=10.0).contains(jitter))]
        #[off = "0"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        saturation: f64 = 0.0,

        /// Hue jitter, as a fraction of 360 degrees.
        #[range("in [0, 0.5]", |jitter| (0.0..=0.5).contains(jitter))]
        #[off = "0"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        hue: f64 = 0.0,

        /// Fraction of images of which a random rectangle is erased.
        #[alias = "erase"]
        #[range("in [0, 1]", |fraction| (0.0..=1.0).contains(fraction))]
        #[off = "0"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        random_erasing: f64 = 0.0,

        /// Range of the area of the erased rectangle, as fractions of the crop.
        #[alias = "erase_scale"]
        #[range("two rising numbers in [0.0001, 1]", |scale| rises_within(scale, 0.0001, 1.0))]
        #[needs(AUGMENT, ERASING)]
        #[on_resume = Noted]
        #[timed = true]
        random_erasing_scale: [f64; 2] = [0.02, 0.33],

        /// Range of the width of the erased rectangle divided by its height.
        #[alias = "erase_ratio"]
        #[range("two rising numbers in [0.01, 100]", |ratio| rises_within(ratio, 0.01, 100.0))]
        #[needs(AUGMENT, ERASING)]
        #[on_resume = Noted]
        #[timed = true]
        random_erasing_ratio: [f64; 2] = [0.3, 3.3],

        /// Alpha of mixup; 0: none.
        #[range("in [0, 100]", |alpha| (0.0..=100.0).contains(alpha))]
        #[off = "0"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        mixup: f64 = 0.0,

        /// Alpha of CutMix; 0: none. If mixup is set too, each is drawn with probability 1/2.
        #[range("in [0, 100]", |alpha| (0.0..=100.0).contains(alpha))]
        #[off = "0"]
        #[needs(AUGMENT)]
        #[on_resume = Noted]
        #[timed = true]
        cutmix: f64 = 0.0,

        /// Label smoothing.
        #[range("in [0, 1)", is_fraction)]
        #[on_resume = Noted]
        #[timed = true]
        label_smoothing: f64 = 0.0,

        /// Weights of the classes in the loss: `none`, `balanced` (inverse to the number of their training images, with a mean
        /// of 1 over these), or a list with one number per class. The loss is the mean over the images of a batch of weight
        /// times cross-entropy; the loss of a validation has no weights.
        #[off = "none"]
        #[on_resume = Noted]
        #[timed = true]
        class_weights: ClassWeights = ClassWeights::None,

        /// Choice of the images of an epoch: `natural` (each once), or `balanced` (as many of each class: the images of small
        /// classes occur several times, those of large ones not in every epoch; an epoch has as many images as before).
        #[needs(FULL)]
        sampling: Sampling = Sampling::Natural,

        /// Order of the images: `none`, `full`, `window`, or `auto`, which is `full` unless the pack exceeds the memory.
        shuffle: Shuffle = Shuffle::Auto,

        /// Size of a shuffle window in bytes; 0: half of the memory that is free at the start.
        #[off = "0"]
        #[needs(WINDOW)]
        window_bytes: u64 = 0,

        /// Maximum size in bytes of the batches loaded ahead; at least one batch is.
        #[on_resume = Silent]
        prefetch_bytes: usize = data::LoaderOptions::default().prefetch_bytes,

        /// Principal components of the PCA colour noise, from another pack or from a TOML file.
        #[default_text = "those of the training pack"]
        #[needs(AUGMENT, COLOUR, DEVIATION)]
        #[on_resume = Noted]
        pca: Option<Pca> = None,

        /// Mean that networks whose `input.mean` is `"pack-image"` or `"pack-rgb"` subtract: `imagenet`, a colour `R,G,B`,
        /// an image in `.npy` or `.binaryproto`, another pack, or weights that have a mean.
        #[default_text = "that of the training pack"]
        #[range("not empty", |mean| mean.as_ref().is_none_or(|mean| !mean.is_empty()))]
        mean: Option<String> = None,
    }
}
