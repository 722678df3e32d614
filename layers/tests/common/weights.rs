//! Weights for tests of files, here and in `alexnet-formats`. The program that includes this names the crate `layers`.

use std::path::PathBuf;

use ndarray::{Array3, ArrayD, IxDyn};
use tempfile::TempDir;

use crate::layers::Model;
use crate::layers::weights::Weights;

/// The network of a text.
pub fn model(text: &str) -> Model {
    Model::parse(text, "test").unwrap()
}

/// Weights of a network with values that are all different, from `seed` on, and everything else that weights have.
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
        exif_orientation: true,
    }
}

/// The bits of all parameters, since NaN is a value too.
pub fn bits(weights: &Weights) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let one = |(name, values): &(String, ArrayD<f32>)| {
        (name.clone(), values.shape().to_vec(), values.iter().map(|v| v.to_bits()).collect())
    };
    weights.tensors.iter().map(one).collect()
}

/// A temporary folder, and the path of a file in it.
pub fn temporary_file(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}
