//! Weights in files.

mod allocator;
mod corrupt;
mod headers;
mod module;
mod pytorch;
mod round_trip;
mod torchvision;

use std::path::{Path, PathBuf};

use alexnet_layers::weights::Weights;
use alexnet_layers::{Error, Model};
use ndarray::{Array3, ArrayD, IxDyn};
use tempfile::TempDir;

/// Every layout there is, in few parameters.
pub const SMALL: &str = r#"
name = "small"
about = "Every layout: größer geht's nimmer."
classes = 3

[input]
size = 7
crop = 6
channels = "rgb"
scale = 1.0
mean = "pack-image"

[[layer]]
name = "conv1"
kind = "conv"
export = "features.0"
filters = 4
kernel = 3

[[layer]]
name = "bn1"
kind = "batch-norm"

[[layer]]
name = "conv2"
kind = "conv"
filters = 4
kernel = [1, 2]
groups = 2

[[layer]]
name = "local3"
kind = "local"
filters = 2
kernel = 2

[[layer]]
name = "fc6"
kind = "linear"
units = 5

[[layer]]
name = "fc8"
kind = "linear"
units = "classes"
"#;

/// The network of a text.
pub fn model(text: &str) -> Model {
    Model::parse(text, "test").unwrap()
}

/// Weights of a network with values that are all different, from `seed` on.
pub fn weights(model: &Model, seed: u32) -> Weights {
    let mut n = seed;
    let mut next = || {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from_bits(n & 0x3fff_ffff | 0x3000_0000)
    };
    let specs = model.parameters().unwrap();
    let tensors = specs
        .iter()
        .map(|spec| (spec.name.clone(), ArrayD::from_shape_simple_fn(IxDyn(&spec.shape), &mut next)))
        .collect();
    let size = model.input.size;
    Weights {
        model: Some(model.clone()),
        tensors,
        classes: (0..model.classes).map(|i| format!("class, \"{i}\" é\n")).collect(),
        mean_image: Some(Array3::from_shape_simple_fn((size, size, 3), &mut next)),
        mean_rgb: Some([next(), next(), next()]),
        exif_orientation: false,
    }
}

/// The bits, since NaN is a value too.
pub fn bits(weights: &Weights) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let one = |(name, values): &(String, ArrayD<f32>)| {
        (name.clone(), values.shape().to_vec(), values.iter().map(|v| v.to_bits()).collect())
    };
    weights.tensors.iter().map(one).collect()
}

/// Fails unless both hold the same, bit for bit.
#[track_caller]
pub fn assert_same(a: &Weights, b: &Weights) {
    assert_eq!(bits(a), bits(b));
    assert_eq!((&a.model, &a.classes, &a.mean_image, &a.mean_rgb), (&b.model, &b.classes, &b.mean_image, &b.mean_rgb));
    assert_eq!(a.exif_orientation, b.exif_orientation);
}

/// A temporary folder, and the path of a file in it.
pub fn temporary_file(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

/// The message of a file that must not load.
#[track_caller]
pub fn refusal(path: &Path) -> String {
    let error = Weights::load(path).unwrap_err();
    assert!(matches!(error, Error::Weights { .. } | Error::Parameters { .. } | Error::File { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with(&path.display().to_string()), "the file is named: {message}");
    message
}
