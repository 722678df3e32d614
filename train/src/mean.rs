//! Means that a user gives to networks that subtract the mean of their training set: an image or a colour.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use data::Pack;
use files::regular_file;
use formats::{Format, MeanFile};
use layers::model::{Input, Mean};
use ndarray::Array3;

use crate::packs::PackMeans;
use crate::{Config, Error, Remedy, Result, input, load as load_file};

/// The mean colour of ILSVRC 2012's training images, red, green, blue, as the networks of the VGG group subtract it in
/// Caffe and Keras.
pub const IMAGENET: [f32; 3] = [123.68, 116.779, 103.939];

/// The forms of means that [`load`] takes, for messages.
pub const FORMS: &str =
    "imagenet, a colour R,G,B, an image in .npy or .binaryproto, a pack, or weights that have a mean";

/// Reads a mean: `imagenet` ([`IMAGENET`]), three numbers `R,G,B` from 0 to 255, the path of an image of means in `.npy` or
/// `.binaryproto`, a pack, a run, or weights of any format that have a mean.
///
/// ```
/// let means = alexnet_train::mean::load("123.68, 116.779, 103.939")?;
/// assert_eq!(means.rgb, Some(alexnet_train::mean::IMAGENET));
/// # Ok::<(), alexnet_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::Setting`] of `data.mean` for anything else; those of reading the file.
pub fn load(text: &str) -> Result<PackMeans> {
    if text == "imagenet" {
        return Ok(PackMeans::of_colour(IMAGENET));
    }
    if let Some(colour) = numbers(text) {
        return Ok(PackMeans::of_colour(in_range(text, colour)?));
    }
    let path = Path::new(text);
    let metadata = fs::metadata(path).map_err(|e| unreadable(text, &e))?;
    if metadata.is_dir() && path.join("pack.h5").exists() {
        return Ok(PackMeans::of(&Pack::open(path)?));
    }
    if metadata.is_dir() || is_weights(path)? {
        return of_weights(path);
    }
    of_file(path)
}

/// Three numbers, if the text is such.
fn numbers(text: &str) -> Option<[f32; 3]> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    numbers?.try_into().ok()
}

fn in_range(text: &str, colour: [f32; 3]) -> Result<[f32; 3]> {
    if !colour.iter().all(|value| (0.0..=255.0).contains(value)) {
        return Err(Error::setting("data.mean", format!("the values of a colour are from 0 to 255, got {text}")));
    }
    if colour.iter().all(|value| *value < 1.0) && colour != [0.0; 3] {
        let [r, g, b] = colour.map(|value| value * 255.0);
        let what = format!("{text} is a colour of values from 0 to 1, expected 0 to 255: {r:.2},{g:.2},{b:.2}");
        return Err(Error::setting("data.mean", what));
    }
    Ok(colour)
}

/// The error of a path that cannot be read. A text that is no path either is explained.
fn unreadable(text: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidInput => {
            Error::setting("data.mean", format!("{text}: there is no such file; expected {FORMS}"))
        }
        _ => Error::file(text, format!("cannot be read: {error}")),
    }
}

/// Whether a file is one of weights by its first bytes. Protocol buffers may also be a mean.
fn is_weights(path: &Path) -> Result<bool> {
    let mut start = Vec::with_capacity(9);
    let file = regular_file::open(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    file.take(9).read_to_end(&mut start).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let magic: [&[u8]; 4] = [b"\x89HDF", b"PK\x03\x04", b"\x80", b"{"];
    Ok(magic.iter().any(|magic| start.starts_with(magic)) || start.get(8) == Some(&b'{'))
}

/// A mean of Caffe or numpy, or that of weights that are a protocol buffer too.
fn of_file(path: &Path) -> Result<PackMeans> {
    match formats::mean(path) {
        Ok(MeanFile::Image(image)) => Ok(PackMeans::of_image(image)),
        Ok(MeanFile::Colour(colour)) => Ok(PackMeans::of_colour(colour)),
        Err(_) if matches!(Format::of(path), Ok(Format::Caffe | Format::Onnx)) => of_weights(path),
        Err(error) => Err(error.into()),
    }
}

fn of_weights(path: &Path) -> Result<PackMeans> {
    let foreign = if path.is_file() { formats::read(path)? } else { None };
    let (found, model) = match foreign {
        // Its network may be unknown.
        Some(file) => (PackMeans { rgb: file.mean_rgb, image: file.mean_image }, file.model),
        None => {
            let weights = load_file::weights(path, None, &mut |_| {})?.weights;
            (PackMeans::of_weights(&weights), weights.model)
        }
    };
    if found.image.is_some() || found.rgb.is_some() {
        return Ok(found);
    }
    let colour = model.and_then(|model| own_colour(&model.input));
    let missing = || Error::file(path, format!("has no mean; expected {FORMS}"));
    colour.map(PackMeans::of_colour).ok_or_else(missing)
}

/// The colour that a network has as a setting, from 0 to 255.
fn own_colour(input: &Input) -> Option<[f32; 3]> {
    let Mean::Rgb(mean) = input.mean else { return None };
    let colour = mean.map(|value| (value / input.scale) as f32);
    let fits = colour.iter().all(|value| (0.0..=255.0).contains(value)) && mean != [0.0; 3];
    fits.then_some(colour)
}

/// Fails for a network that subtracts no mean, or one that its file fixes: another would have no effect.
///
/// # Errors
/// [`Error::Setting`] of `data.mean`.
pub fn check_needed(input: &Input) -> Result<()> {
    let why = match &input.mean {
        Mean::PackImage | Mean::PackRgb => return Ok(()),
        Mean::None => "the network subtracts no mean (its input.mean is \"none\")".to_string(),
        Mean::Rgb([r, g, b]) => format!("the network has a mean of its own (its input.mean is [{r}, {g}, {b}])"),
    };
    let advice = Remedy::Advice("leave it out, or change input.mean to \"pack-image\" or \"pack-rgb\"".into());
    Err(Error::setting("data.mean", format!("has no effect: {why}")).with_remedy(advice))
}

/// The error of a mean image that does not fit, which then names the setting and the file, not the network's input. Other
/// errors stay as they are.
pub fn named(text: &str, error: Error) -> Error {
    match error {
        Error::Setting { key, what, remedy } if key == "input.mean" => {
            Error::Setting { key: "data.mean".into(), what: format!("{text}: {what}"), remedy }
        }
        other => other,
    }
}

/// The means of a run: those of `data.mean`, else of the training pack.
pub(crate) fn of_run(config: &Config, input: &Input, train: &Pack) -> Result<PackMeans> {
    let Some(text) = &config.data.mean else { return Ok(PackMeans::of(train)) };
    check_needed(input)?;
    let means = load(text)?.for_input(input);
    input::crop_and_normalize(input, &means, train.size()).map_err(|error| named(text, error))?;
    Ok(means)
}

impl PackMeans {
    /// A mean colour: red, green, blue, 0 to 255.
    pub fn of_colour(colour: [f32; 3]) -> Self {
        Self { rgb: Some(colour), image: None }
    }

    /// A mean image `[height, width, 3]`, red, green, blue, 0 to 255.
    pub fn of_image(image: Array3<f32>) -> Self {
        Self { rgb: Some(mean_colour(&image)), image: Some(image) }
    }

    /// The same, with a constant image made of the colour, or a colour made of the image, if the network subtracts the one
    /// that is missing.
    pub fn for_input(self, input: &Input) -> Self {
        match (&input.mean, self.rgb, &self.image) {
            (Mean::PackImage, Some(colour), None) => {
                let image = Array3::from_shape_fn((input.size, input.size, 3), |(_, _, channel)| colour[channel]);
                Self { image: Some(image), ..self }
            }
            (Mean::PackRgb, None, Some(image)) => Self { rgb: Some(mean_colour(image)), ..self },
            _ => self,
        }
    }
}

/// The mean colour of an image.
pub(crate) fn mean_colour(image: &Array3<f32>) -> [f32; 3] {
    let (height, width, _) = image.dim();
    let count = (height * width).max(1) as f64;
    [0, 1, 2].map(|channel| {
        let values = image.indexed_iter().filter(|((.., c), _)| *c == channel);
        (values.map(|(_, value)| f64::from(*value)).sum::<f64>() / count) as f32
    })
}
