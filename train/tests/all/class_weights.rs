//! Class weights and balanced sampling.

use alexnet_train::log::{StepLine, read};
use alexnet_train::{BatchLoss, Config, Targets};
use data::MixedLabel;
use layers::{Mode, Pass};
use proptest::prelude::*;
use tensor::{Cpu, Tensor};

use crate::support::{World, bits, train_until};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The loss is its formula in f64, with mixed and smoothed targets.
    #[test]
    fn a_weighted_loss_is_its_formula(
        logits in proptest::collection::vec(-4.0f64..4.0, 6),
        labels in proptest::collection::vec(0u32..3, 2),
        others in proptest::collection::vec((0u32..3, 0.0f32..1.0), 2),
        weights in proptest::collection::vec(0.0f32..5.0, 3),
        smoothing in prop_oneof![Just(0.0), 0.0f64..0.5],
        is_mixed: bool,
    ) {
        let cpu = Cpu::<f64>::new(1).unwrap();
        let mixed: Vec<MixedLabel> = others.iter().map(|&(label, share)| MixedLabel { label, share }).collect();
        let mixed = if is_mixed { mixed } else { Vec::new() };
        let mut expected = 0.0;
        for row in 0..2 {
            let z = &logits[row * 3..row * 3 + 3];
            let sum: f64 = z.iter().map(|v| v.exp()).sum();
            let share = mixed.get(row).map_or(0.0, |other| f64::from(other.share));
            let target = |class: u32| {
                let own = if class == labels[row] { 1.0 - share } else { 0.0 };
                let other = if mixed.get(row).is_some_and(|other| class == other.label) { share } else { 0.0 };
                ((own + other) * (1.0 - smoothing) + smoothing / 3.0) * f64::from(weights[class as usize])
            };
            for (class, z) in z.iter().enumerate() {
                expected -= target(class as u32) * (z.exp() / sum).ln() / 2.0;
            }
        }
        let mut pass = Pass::new(Mode::Train { seed: 0, step: 0 });
        let logits = pass.tape.parameter(Tensor::from_slice(&cpu, &[2, 3], &logits).unwrap());
        let targets = Targets { labels: &labels, mixed: &mixed, smoothing, class_weights: &weights };
        let loss = BatchLoss::cross_entropy(&logits, targets, &mut pass).unwrap();
        let found = loss.metrics().read().unwrap();
        prop_assert!((found.loss - expected).abs() < 1e-5, "{} {expected}", found.loss);
        prop_assert_eq!(found.examples, 2);
    }
}

/// Weights of 1 train as none, but for rounding; others do not. Lists must have one number per class.
#[test]
fn class_weights_reach_the_loss() {
    let world = World::new();
    let first_losses = |name: &str, weights: &str| -> Vec<f64> {
        let mut trainer = world.start(name, &format!("[data]\nclass_weights = {weights}"));
        train_until(&mut trainer, 4).unwrap_err();
        let log: Vec<StepLine> = read(&world.path(name).join("log.jsonl")).unwrap();
        log.iter().map(|line| line.loss).collect()
    };
    let none = first_losses("none", "'none'");
    // The pack has 8 images of each class: all weights are 1.
    for (name, weights) in [("ones", "[1, 1.0, 1]"), ("balanced", "'balanced'")] {
        let same = first_losses(name, weights);
        assert!(none.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-4), "{none:?} {same:?}");
    }
    let doubled = first_losses("doubled", "'2, 2, 2'");
    assert!((doubled[0] - 2.0 * none[0]).abs() < 1e-4, "{none:?} {doubled:?}");
    let config = |weights: &str| world.config(&format!("[data]\nclass_weights = {weights}"));
    for (weights, expected) in [("[1, 2]", "2 weights for the 3 classes"), ("[0, 0, 0]", "one of them above 0")] {
        let error = config(weights).data.class_weights.of(&world.packs.train).unwrap_err().to_string();
        assert!(error.starts_with("data.class_weights: ") && error.contains(expected), "{error}");
    }
    for bad in ["'uniform'", "[]", "3", "['a']"] {
        let toml = format!("[data]\nclass_weights = {bad}").parse().unwrap();
        let error = Config::from_overrides(&[("t".into(), toml)]).unwrap_err().to_string();
        assert!(error.contains("class_weights"), "{error}");
    }
}

/// Balanced sampling trains on other images than natural sampling, and needs all images in one order.
#[test]
fn balanced_sampling_has_its_own_order() {
    let world = World::new();
    let end = |name: &str, more: &str| {
        let mut trainer = world.start(name, more);
        train_until(&mut trainer, u64::MAX).unwrap();
        bits(&trainer)
    };
    let balanced = "[data]\nsampling = 'balanced'";
    assert_ne!(end("natural", ""), end("balanced", balanced));
    let config = world.config(balanced);
    assert_eq!(config.data.order(), data::Shuffle::Balanced);
}
