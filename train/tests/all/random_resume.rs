//! Runs of random settings, killed at a random step and resumed, end with the same bits.

use std::fs;

use alexnet_train::checkpoint::Checkpoint;
use alexnet_train::run::checkpoints;
use alexnet_train::trainer::Trainer;
use proptest::prelude::*;
use proptest::sample::subsequence;
use tensor::Cpu;

use crate::support::{World, train_until};

/// Settings of which a run has some, by section.
const SETTINGS: [(&str, &str); 17] = [
    ("run", "accumulate = 2"),
    ("run", "early_stopping = 2"),
    ("run", "monitor = 'validation-loss'"),
    ("optim", "ema_decay = 0.9"),
    ("optim", "ema_warmup = true"),
    ("optim", "warmup_epochs = 1.5"),
    ("optim", "clip_norm = 0.3"),
    ("optim", "clip_value = 0.05"),
    ("optim", "nesterov = true"),
    ("data", "mixup = 0.4"),
    ("data", "label_smoothing = 0.1"),
    ("data", "random_erasing = 0.5"),
    ("data", "class_weights = [2, 1, 0.5]"),
    ("data", "sampling = 'balanced'"),
    ("change", "at_epoch = 0.75\noptim.lr = 0.01"),
    ("change", "at_epoch = 1\ndata.colour = 'none'\nmodel.lr_multipliers = ['conv1=0.1']"),
    ("change", "at_epoch = 2\nmodel.freeze = ['conv1']\noptim.weight_decay = 0.01"),
];

const OPTIMIZERS: [&str; 3] = ["sgd", "adamw", "rmsprop"];

const SCHEDULES: [&str; 3] = ["plateau", "cosine", "constant"];

/// A configuration with these settings.
fn toml(settings: &[(&str, &str)], optimizer: &str, schedule: &str) -> String {
    let mut text = String::new();
    for section in ["run", "optim", "data"] {
        text.push_str(&format!("[{section}]\n"));
        for (_, setting) in settings.iter().filter(|(of, _)| *of == section) {
            text.push_str(&format!("{setting}\n"));
        }
        if section == "optim" {
            let lr = if optimizer == "sgd" { 0.05 } else { 0.002 };
            text.push_str(&format!("kind = '{optimizer}'\nlr = {lr}\nschedule = '{schedule}'\ndecay_epochs = 3.0\n"));
        }
    }
    for (_, setting) in settings.iter().filter(|(of, _)| *of == "change") {
        text.push_str(&format!("[[change]]\n{setting}\n"));
    }
    text
}

/// Everything in the last checkpoint of a run.
fn end(world: &World, name: &str) -> Checkpoint {
    let (_, path) = checkpoints(&world.path(name)).unwrap().pop().unwrap();
    Checkpoint::load(&path).unwrap()
}

fn assert_same(a: &Checkpoint, b: &Checkpoint, settings: &str) {
    assert_eq!(a.state, b.state, "{settings}");
    for (a, b) in [(&a.weights.tensors, &b.weights.tensors), (&a.optimizer, &b.optimizer), (&a.average, &b.average)] {
        let bits = |tensors: &Vec<(String, ndarray::ArrayD<f32>)>| -> Vec<(String, Vec<u32>)> {
            tensors.iter().map(|(name, t)| (name.clone(), t.iter().map(|v| v.to_bits()).collect())).collect()
        };
        assert_eq!(bits(a), bits(b), "{settings}");
    }
}

/// Trains to the end of the run, or to its early stop.
fn finish(mut trainer: Trainer<Cpu<f32>>) {
    train_until(&mut trainer, u64::MAX).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn a_killed_run_of_any_settings_ends_with_the_same_bits(
        settings in subsequence(SETTINGS.to_vec(), 0..=SETTINGS.len()),
        optimizer in 0..OPTIMIZERS.len(),
        schedule in 0..SCHEDULES.len(),
        kill_at in 1u64..12,
        loses_checkpoint: bool,
    ) {
        let toml = toml(&settings, OPTIMIZERS[optimizer], SCHEDULES[schedule]);
        let world = World::new();
        finish(world.start("whole", &toml));
        let whole = end(&world, "whole");
        let mut trainer = world.start("killed", &toml);
        if train_until(&mut trainer, kill_at).is_err() {
            drop(trainer);
            let mut saved = checkpoints(&world.path("killed")).unwrap();
            if loses_checkpoint && saved.len() > 1 {
                // A kill saves nothing: the run resumes from an earlier checkpoint.
                fs::remove_file(saved.pop().unwrap().1).unwrap();
            }
            finish(world.resume("killed", 2));
        }
        assert_same(&end(&world, "killed"), &whole, &toml);
    }
}
