//! Files of ONNX' own library, of torch's two exporters and of Caffe's messages (`../golden/onnx/make.py`): what we compute
//! with them is what ONNX Runtime, torch and numpy do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alexnet_formats::layers::Network;
use alexnet_formats::layers::tensor::{Cpu, Tensor};
use alexnet_formats::{MeanFile, load, mean};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The image of `make.py`, channels last.
fn image(size: usize) -> Vec<f32> {
    let value = |y: usize, x: usize, c: usize| ((7 * c + 5 * y + 3 * x) % 11) as f32;
    let places = (0..size * size * 3).map(|at| (at / 3 / size, at / 3 % size, at % 3));
    places.map(|(y, x, c)| (value(y, x, c) - 5.0) / 4.0).collect()
}

#[test]
fn logits_are_those_of_the_other_frameworks() {
    let text = std::fs::read_to_string(golden("onnx/logits.json")).unwrap();
    let expected: BTreeMap<String, Vec<f32>> = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.len(), 8);
    let cpu = Cpu::<f32>::new(1).unwrap();
    for (name, expected) in expected {
        let folder = if name.ends_with(".onnx") { "onnx" } else { "caffe" };
        let weights = load(&golden(folder).join(&name), None).unwrap().weights;
        let model = weights.model.clone().unwrap();
        let network = Network::with_parameters(&cpu, &model, &name, &weights.tensors).unwrap();
        let size = model.input.crop;
        let images = Tensor::from_slice(&cpu, &[1, size, size, 3], &image(size)).unwrap();
        let found = network.predict(images).unwrap().to_vec().unwrap();
        let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-4 * largest, "{name}: {found} and {expected}");
        }
    }
}

#[test]
fn both_files_of_a_mean_are_the_same_image() {
    let MeanFile::Image(blob) = mean(&golden("caffe/mean.binaryproto")).unwrap() else { panic!("no image") };
    let MeanFile::Image(array) = mean(&golden("caffe/mean.npy")).unwrap() else { panic!("no image") };
    assert_eq!(blob, array);
    // Planes of 16 values in steps of 5: blue from 0, green from 80, red from 160.
    assert_eq!([blob[[0, 1, 0]], blob[[0, 1, 1]], blob[[0, 1, 2]]], [165.0, 85.0, 5.0]);
}
