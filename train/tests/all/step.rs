//! One step: the multipliers of rate and decay that a network's file gives reach its parameters.

use alexnet_train::step::{StepOptions, step};
use alexnet_train::{Targets, WRONG};
use data::MixedLabel;
use layers::{Mode, Model, Module, Network, Parameters, Pass, Var};
use ndarray::Array4;
use optim::{Adam, Optimizer, Rule, Sgd, Update};
use tensor::random::{Stream, purpose};
use tensor::{Cpu, IntTensor, Tensor};

const MODEL: &str = r#"
name = "one"
about = "One layer."
classes = 3
[input]
size = 2
crop = 2
[[layer]]
name = "fc1"
kind = "linear"
units = "classes"
init = { kind = "normal", std = 0.5 }
"#;

type OnCpu = Cpu<f32>;

fn options(seed: u64, step: u64, learning_rate: f64) -> StepOptions {
    StepOptions { seed, step, learning_rate, require_finite_loss: true }
}

/// The network with `more` settings for its layer, an optimizer with this decay, and two images.
fn setup(more: &str, decay: f64) -> (Network<OnCpu>, Optimizer<OnCpu>, Tensor<OnCpu>) {
    let model = Model::parse(&MODEL.replace("std = 0.5 }", &format!("std = 0.5 }}\n{more}")), "one").unwrap();
    let network = Network::new(&OnCpu::new(1).unwrap(), &model, 1).unwrap();
    let optimizer = Optimizer::new(Sgd { momentum: 0.9, weight_decay: decay, nesterov: false }).unwrap();
    let images = Array4::from_shape_fn((2, 2, 2, 3), |(n, y, x, c)| (n * 7 + y * 5 + x * 3 + c) as f32 * 0.1 - 0.5);
    let images = Tensor::from_array(network.device(), images.view().into_dyn()).unwrap();
    (network, optimizer, images)
}

/// How far one step of rate 0.1 and this decay moves the weights of a network whose layer has `more` settings.
fn moved(more: &str, decay: f64) -> Vec<f32> {
    let (mut network, mut optimizer, images) = setup(more, decay);
    let before = network.parameters()[0].value.to_vec().unwrap();
    step(&mut network, &mut optimizer, images, &[0, 2], options(1, 0, 0.1)).unwrap();
    let after = network.parameters()[0].value.to_vec().unwrap();
    after.iter().zip(&before).map(|(a, b)| a - b).collect()
}

fn assert_near(a: &[f32], b: &[f32]) {
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} is not {b:?}");
}

#[test]
fn twice_the_rate_moves_twice_as_far() {
    let once = moved("", 0.0);
    let twice = moved("weight_rate = 2.0", 0.0);
    assert!(once.iter().any(|d| d.abs() > 1e-3), "nothing moved: {once:?}");
    assert_near(&twice, &once.iter().map(|d| 2.0 * d).collect::<Vec<_>>());
}

#[test]
fn no_decay_on_a_layer_is_no_decay() {
    assert_near(&moved("weight_decay = 0.0", 0.5), &moved("", 0.0));
    let half = moved("weight_decay = 0.5", 0.5);
    let whole = moved("", 0.25);
    assert_near(&half, &whole);
    assert!(half.iter().zip(moved("", 0.0)).any(|(a, b)| (a - b).abs() > 1e-3));
}

/// The loss of mixed images with smoothed labels is that of its definition, and the error is that of hard labels.
#[test]
fn soft_targets_give_the_loss_of_their_definition() {
    let (mut network, mut optimizer, images) = setup("", 0.0);
    let p = network.predict(images.clone()).unwrap().softmax().unwrap().to_vec().unwrap();
    let mixed = [MixedLabel { label: 1, share: 0.3 }, MixedLabel { label: 0, share: 0.9 }];
    let targets = Targets { labels: &[0, 2], mixed: &mixed, smoothing: 0.1, class_weights: &[] };
    let even = 0.1f32 / 3.0;
    let expected = [[0.9 * 0.7 + even, 0.9 * 0.3 + even, even], [0.9 * 0.9 + even, even, 0.9 * 0.1 + even]];
    let plain: f32 = expected.iter().flatten().zip(&p).map(|(t, p)| -t * p.ln()).sum::<f32>() / 2.0;
    let wrong = p.chunks(3).zip([0, 2]).filter(|(row, label)| row.iter().any(|v| *v > row[*label])).count();
    let metrics = step(&mut network, &mut optimizer, images, targets, options(1, 0, 0.1)).unwrap().read().unwrap();
    assert!((metrics.loss - f64::from(plain)).abs() < 1e-5, "{} for {plain}", metrics.loss);
    assert_eq!(metrics.sum(WRONG), Some(wrong as f64));
}

/// Large enough for its first gradients not to wait for the others.
const WIDE: &str = r#"
name = "wide"
about = "Layers of all kinds that have parameters."
classes = 10
[input]
size = 12
crop = 12
[[layer]]
name = "conv1"
kind = "conv"
filters = 32
kernel = 3
[[layer]]
name = "bn1"
kind = "batch-norm"
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "conv2"
kind = "conv"
filters = 32
kernel = 3
[[layer]]
name = "relu2"
kind = "relu"
[[layer]]
name = "pool2"
kind = "max-pool"
kernel = 2
stride = 2
[[layer]]
name = "fc3"
kind = "linear"
units = 3000
[[layer]]
name = "relu3"
kind = "relu"
[[layer]]
name = "fc4"
kind = "linear"
units = 3000
[[layer]]
name = "fc5"
kind = "linear"
units = "classes"
"#;

/// Parameters are updated as their gradients come: with the bits of a step that waits for all.
#[test]
fn early_updates_have_the_bits_of_late_ones() {
    let model = Model::parse(WIDE, "wide").unwrap();
    let rules: [Rule; 2] = [
        Sgd { momentum: 0.9, weight_decay: 1e-3, nesterov: false }.into(),
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-3, epsilon_hat: false }.into(),
    ];
    for rule in rules {
        let cpu = OnCpu::new(2).unwrap();
        let mut early = Network::new(&cpu, &model, 1).unwrap();
        let mut late = early.clone();
        let [mut a, mut b] = [(); 2].map(|()| Optimizer::new(rule).unwrap());
        let images = Tensor::normal(&cpu, &[4, 12, 12, 3], 0.0, 1.0, Stream::new(1, purpose::USER, 0)).unwrap();
        for number in 0..2 {
            step(&mut early, &mut a, images.clone(), &[0, 3, 9, 1], options(5, number, 0.01)).unwrap();
            late_step(&mut late, &mut b, images.clone(), &[0, 3, 9, 1], number, 0.01);
        }
        for (one, other) in early.parameters().iter().zip(late.parameters()) {
            assert_eq!(one.value.to_vec().unwrap(), other.value.to_vec().unwrap(), "{}", one.spec.name);
        }
        for ((name, one), (_, other)) in a.state().unwrap().tensors.iter().zip(b.state().unwrap().tensors) {
            assert_eq!(one.to_vec().unwrap(), other.to_vec().unwrap(), "{name}");
        }
    }
}

/// All gradients first, then one step of the optimizer on all.
fn late_step(
    network: &mut Network<OnCpu>,
    optimizer: &mut Optimizer<OnCpu>,
    images: Tensor<OnCpu>,
    labels: &[u32],
    number: u64,
    rate: f64,
) {
    let labels = IntTensor::from_slice(network.device(), labels).unwrap();
    let mut pass = Pass::new(Mode::Train { seed: 5, step: number });
    let logits = network.forward(&Var::constant(images), &mut pass).unwrap();
    let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    let mut parameters = network.named_parameters_mut();
    let updates = parameters.iter_mut().filter_map(|(name, p)| {
        let gradient = gradients.get(p)?;
        let value = &mut p.value;
        Some(Update { name, value, gradient, lr_mult: p.spec.rate, decay_mult: p.spec.decay })
    });
    optimizer.step(rate, updates.collect()).unwrap();
    gradients.statistics.store(network);
}
