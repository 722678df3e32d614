//! A network that PyTorch saved (`../fixtures/make.py`) gives PyTorch's answers here.

use std::fs;
use std::path::{Path, PathBuf};

use alexnet_layers::Network;
use alexnet_layers::weights::Weights;
use safetensors::SafeTensors;
use tensor::{Cpu, Tensor};

use crate::{model, temporary_file};

/// The network of `make.py`.
const NETWORK: &str = r#"
name = "fixture"
about = "PyTorch's fixture."
classes = 3

[input]
size = 11
crop = 11
channels = "rgb"
scale = 1.0
mean = "none"

[[layer]]
name = "conv1"
kind = "conv"
filters = 4
kernel = 3
stride = 2
padding = 1

[[layer]]
name = "bn1"
kind = "batch-norm"

[[layer]]
name = "relu1"
kind = "relu"

[[layer]]
name = "conv2"
kind = "conv"
filters = 6
kernel = [2, 3]
groups = 2

[[layer]]
name = "relu2"
kind = "relu"

[[layer]]
name = "pool2"
kind = "max-pool"
kernel = [3, 2]
stride = [2, 1]

[[layer]]
name = "fc6"
kind = "linear"
units = 5

[[layer]]
name = "relu6"
kind = "relu"

[[layer]]
name = "fc7"
kind = "linear"
units = 4

[[layer]]
name = "relu7"
kind = "relu"

[[layer]]
name = "fc8"
kind = "linear"
units = "classes"
"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The logits for the fixture's images, and PyTorch's.
fn logits(weights: &Weights) -> (Vec<f64>, Vec<f64>) {
    let bytes = fs::read(fixture("pytorch_io.safetensors")).unwrap();
    let io = SafeTensors::deserialize(&bytes).unwrap();
    let x = io.tensor("x").unwrap();
    let pixels: Vec<f32> = x.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let y = io.tensor("y").unwrap().data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();

    let cpu = Cpu::<f32>::new(1).unwrap();
    let network = Network::with_parameters(&cpu, weights.model.as_ref().unwrap(), "fixture", &weights.tensors).unwrap();
    let logits = network.predict(Tensor::from_slice(&cpu, x.shape(), &pixels).unwrap()).unwrap();
    (logits.to_vec().unwrap().into_iter().map(f64::from).collect(), y)
}

#[test]
fn outputs_match() {
    let loaded = Weights::load_for(&fixture("pytorch.safetensors"), &model(NETWORK)).unwrap();
    let (got, expected) = logits(&loaded);
    assert_eq!(got.len(), 12);
    for (g, e) in got.iter().zip(&expected) {
        assert!((g - e).abs() < 1e-5, "got {got:?}, PyTorch has {expected:?}");
    }
    for name in ["a.h5", "a.safetensors"] {
        let (_folder, path) = temporary_file(name);
        loaded.save(&path).unwrap();
        assert_eq!(logits(&Weights::load(&path).unwrap()).0, got, "{name}");
    }
}
