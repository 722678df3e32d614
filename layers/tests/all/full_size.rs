//! Whole networks at full size against torchvision, PyTorch and Keras: the logits of `tests/golden/full_size.safetensors`,
//! made by `tests/golden/full_size.py`. Weights and images are drawn here as they are there, and are the same to the bit.

use alexnet_layers::Network;
use alexnet_layers::init::Init;
use alexnet_layers::model::{LayerKind, Model};
use tensor::random::{Stream, purpose::USER};
use tensor::{Cpu, Tensor};

use crate::goldens::Goldens;

const SEED: u64 = 2012;

/// Values uniform within +-`bound`: exact, as the bound is a power of two.
fn draw(device: &Cpu<f32>, shape: &[usize], bound: f64, number: usize) -> Tensor<Cpu<f32>> {
    let stream = Stream::new(SEED, USER + number as u32, 0);
    Tensor::uniform(device, shape, -bound, bound, stream).unwrap()
}

/// The preset with the script's weights.
fn network(device: &Cpu<f32>, preset: &str) -> Network<Cpu<f32>> {
    let mut model = Model::preset(preset).unwrap();
    for layer in &mut model.layers {
        // Drawn below: nothing is drawn twice.
        if let LayerKind::Conv(conv) = &mut layer.kind {
            conv.parameters.init = Init::Constant(0.0);
        }
        if let LayerKind::Linear(linear) = &mut layer.kind {
            linear.parameters.init = Init::Constant(0.0);
        }
    }
    let mut network = Network::new(device, &model, SEED).unwrap();
    for (i, parameter) in network.parameters_mut().iter_mut().enumerate() {
        let shape = parameter.spec.shape.clone();
        let bound = match shape.split_first() {
            Some((_, [])) | None => 1.0 / 16.0,
            Some((_, inputs)) => 2.0 / f64::from(1 << (inputs.iter().product::<usize>().ilog2() / 2)),
        };
        parameter.value = draw(device, &shape, bound, i + 1);
    }
    network
}

/// Logits of two images, `side` pixels high and wide, of values within +-`range`.
fn check(preset: &str, side: usize, range: f64, limit: f64) {
    let device = Cpu::new(2).unwrap();
    let network = network(&device, preset);
    let logits = network.predict(draw(&device, &[2, side, side, 3], range, 0)).unwrap().to_array().unwrap();
    let goldens = Goldens::read("full_size.safetensors");
    let expected = &goldens.get(preset).array;
    assert_eq!(logits.shape(), expected.shape());
    let differences = logits.iter().zip(expected).map(|(got, want)| (f64::from(*got) - want).abs());
    let worst = differences.fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most });
    assert!(worst <= limit, "{preset}: a logit differs by {worst:e}, at most {limit:e} expected");
}

#[test]
fn one_weird_trick_has_the_logits_of_torchvision() {
    check("one-weird-trick", 224, 1.0, 1e-4);
}

#[test]
fn paper_has_the_logits_of_the_network_in_pytorch() {
    check("paper", 224, 128.0, 1e-4);
}

#[test]
fn caffe_has_the_logits_of_the_network_in_pytorch() {
    // Logits of up to 385: the limit is as far from them as 1e-4 is from those of the others.
    check("caffe", 227, 128.0, 1e-3);
}

#[test]
fn keras_has_the_logits_of_the_network_in_keras() {
    check("keras", 224, 1.0, 1e-4);
}
