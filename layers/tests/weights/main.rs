//! Weights in files.

#[path = "../common/allocator.rs"]
mod allocator;
#[path = "../common/weights.rs"]
mod common;
mod corrupt;
mod headers;
mod module;
mod pytorch;
mod round_trip;
mod torchvision;

use std::path::Path;

use alexnet_layers as layers;
use alexnet_layers::Error;
use alexnet_layers::weights::Weights;

pub use common::{bits, model, temporary_file, weights};

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

/// Fails unless both hold the same, bit for bit.
#[track_caller]
pub fn assert_same(a: &Weights, b: &Weights) {
    assert_eq!(bits(a), bits(b));
    assert_eq!((&a.model, &a.classes, &a.mean_image, &a.mean_rgb), (&b.model, &b.classes, &b.mean_image, &b.mean_rgb));
    assert_eq!(a.exif_orientation, b.exif_orientation);
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
