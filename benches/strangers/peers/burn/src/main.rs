//! The programs of `lenet` and `rosenbrock` with burn.

mod lenet;
mod residual;
mod rosenbrock;

use burn::backend::{Autodiff, NdArray};
use burn::module::AutodiffModule;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, Optimizer, SgdConfig};
use burn::prelude::*;
use burn::tensor::Distribution;

pub type OnCpu = Autodiff<NdArray>;

const SIDE: usize = 28;

pub trait Classifier: AutodiffModule<OnCpu> {
    fn logits(&self, x: Tensor<OnCpu, 4>) -> Tensor<OnCpu, 2>;
}

/// Images of noise with a bright bar, whose position is the label.
fn images(n: usize) -> (Tensor<OnCpu, 4>, Tensor<OnCpu, 1, Int>) {
    let device = Default::default();
    let labels: Vec<i64> = (0..n as i64).map(|i| (i * 7) % 10).collect();
    let is_lit = |i: usize| (i % SIDE) * 10 / SIDE == labels[i / SIDE / SIDE] as usize;
    let bars: Vec<f32> = (0..n * SIDE * SIDE).map(|i| f32::from(u8::from(is_lit(i)))).collect();
    let bars = Tensor::from_data(TensorData::new(bars, [n, 1, SIDE, SIDE]), &device);
    let noise = Tensor::random([n, 1, SIDE, SIDE], Distribution::Uniform(-0.5, 0.5), &device);
    (noise + bars, Tensor::from_data(TensorData::new(labels.clone(), [n]), &device))
}

fn train<M: Classifier>(name: &str, mut network: M, steps: usize) {
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    let mut sgd = SgdConfig::new().with_momentum(Some(momentum)).init::<OnCpu, M>();
    let cross_entropy = CrossEntropyLossConfig::new().init(&Default::default());
    let mut losses = Vec::new();
    for _ in 0..steps {
        let (images, labels) = images(32);
        let loss = cross_entropy.forward(network.logits(images), labels);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = sgd.step(0.02, network, gradients);
        losses.push(loss.into_scalar());
    }
    println!("{name}: loss {:.3} -> {:.3}", losses[0], losses[losses.len() - 1]);
}

fn main() {
    train("LeNet-5", lenet::LeNet::new(&Default::default()), 80);
    train("residual network", residual::Network::new(&Default::default()), 120);
    rosenbrock::run();
}
