//! One step: the multipliers of rate and decay that a network's file gives reach its parameters.

use alexnet_train::Targets;
use alexnet_train::step::step;
use data::Mixed;
use layers::{Model, Network};
use ndarray::Array4;
use optim::{Optimizer, Sgd};
use tensor::{Cpu, Tensor};

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

/// How far one step of rate 0.1 and this decay moves the weights of a network whose layer has `more` settings.
fn moved(more: &str, decay: f64) -> Vec<f32> {
    let model = Model::parse(&MODEL.replace("std = 0.5 }", &format!("std = 0.5 }}\n{more}")), "one").unwrap();
    let mut network = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 1).unwrap();
    let mut optimizer = Optimizer::new(Sgd { momentum: 0.9, decay, nesterov: false }).unwrap();
    let images = Array4::from_shape_fn((2, 2, 2, 3), |(n, y, x, c)| (n * 7 + y * 5 + x * 3 + c) as f32 * 0.1 - 0.5);
    let images = Tensor::from_array(network.device(), images.view().into_dyn()).unwrap();
    let before = network.parameters()[0].value.to_vec().unwrap();
    step(&mut network, &mut optimizer, images, &[0, 2], 1, 0, 0.1).unwrap();
    let after = network.parameters()[0].value.to_vec().unwrap();
    after.iter().zip(&before).map(|(a, b)| a - b).collect()
}

fn assert_near(a: &[f32], b: &[f32]) {
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} is not {b:?}");
}

#[test]
fn twice_the_rate_moves_twice_as_far() {
    let (once, twice) = (moved("", 0.0), moved("weight_rate = 2.0", 0.0));
    assert!(once.iter().any(|d| d.abs() > 1e-3), "nothing moved: {once:?}");
    assert_near(&twice, &once.iter().map(|d| 2.0 * d).collect::<Vec<_>>());
}

#[test]
fn no_decay_on_a_layer_is_no_decay() {
    assert_near(&moved("weight_decay = 0.0", 0.5), &moved("", 0.0));
    let (half, whole) = (moved("weight_decay = 0.5", 0.5), moved("", 0.25));
    assert_near(&half, &whole);
    assert!(half.iter().zip(moved("", 0.0)).any(|(a, b)| (a - b).abs() > 1e-3));
}

/// The loss of mixed pictures with smoothed labels is that of its definition, and the error is that of hard labels.
#[test]
fn soft_targets_give_the_loss_of_their_definition() {
    let model = Model::parse(MODEL, "one").unwrap();
    let mut network = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 1).unwrap();
    let mut optimizer = Optimizer::new(Sgd { momentum: 0.9, decay: 0.0, nesterov: false }).unwrap();
    let images = Array4::from_shape_fn((2, 2, 2, 3), |(n, y, x, c)| (n * 7 + y * 5 + x * 3 + c) as f32 * 0.1 - 0.5);
    let images = Tensor::from_array(network.device(), images.view().into_dyn()).unwrap();
    let p = network.predict(images.clone()).unwrap().softmax().unwrap().to_vec().unwrap();
    let mixed = [Mixed { label: 1, share: 0.3 }, Mixed { label: 0, share: 0.9 }];
    let targets = Targets { labels: &[0, 2], mixed: &mixed, smoothing: 0.1 };
    let even = 0.1f32 / 3.0;
    let expected = [[0.9 * 0.7 + even, 0.9 * 0.3 + even, even], [0.9 * 0.9 + even, even, 0.9 * 0.1 + even]];
    let plain: f32 = expected.iter().flatten().zip(&p).map(|(t, p)| -t * p.ln()).sum::<f32>() / 2.0;
    let wrong = p.chunks(3).zip([0, 2]).filter(|(row, label)| row.iter().any(|v| *v > row[*label])).count();
    let outcome = step(&mut network, &mut optimizer, images, targets, 1, 0, 0.1).unwrap();
    assert!((outcome.loss - f64::from(plain)).abs() < 1e-5, "{} for {plain}", outcome.loss);
    assert_eq!(outcome.wrong, wrong);
}
