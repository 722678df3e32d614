//! What goes wrong in a run ends in a clear message and loses nothing.

mod support;

use std::fs;
use std::sync::Arc;

use alexnet_train::checkpoint::Checkpoint;
use alexnet_train::run::{self, Run};
use alexnet_train::trainer::{Packs, Trainer};
use alexnet_train::{Error, load};
use support::{World, train_until};
use tensor::Cpu;

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_checkpoint() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 6).unwrap_err();
    drop(trainer);
    let (_, path) = run::checkpoints(&world.path("run")).pop().unwrap();
    let good = fs::read(&path).unwrap();

    // A rate that blows the weights up at once.
    let config = world.path("run/run.toml");
    let text = fs::read_to_string(&config).unwrap().replace("rate = 0.05", "rate = 1e30");
    fs::write(&config, text).unwrap();
    let error = train_until(&mut world.resume("run", 1), u64::MAX).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Diverged { .. }), "{message}");
    assert!(message.contains("parameter ") || message.contains("layer "), "{message}");
    assert!(message.contains("step-000000006.h5"), "{message}");
    assert!(fs::read(&path).unwrap() == good, "the checkpoint was written again");
}

#[test]
fn a_broken_checkpoint_is_passed_over() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 6).unwrap_err();
    drop(trainer);
    let (_, newest) = run::checkpoints(&world.path("run")).pop().unwrap();
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    let mut warnings = Vec::new();
    let (path, checkpoint) = load::newest_checkpoint(&world.path("run"), &mut |w| warnings.push(w)).unwrap().unwrap();
    assert!(path.ends_with("step-000000004.h5"), "{path:?}");
    assert_eq!(checkpoint.state.position.step, 4);
    assert!(warnings.len() == 1 && warnings[0].contains("step-000000006.h5"), "{warnings:?}");
}

#[test]
fn a_second_run_in_the_folder_is_refused() {
    let world = World::new();
    let first = world.start("run", "");
    let error = Run::open(&world.path("run")).unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
    drop(first);
    let error = Run::create(&world.path("run"), &world.config(""), &world.model()).unwrap_err().to_string();
    assert!(error.contains("--resume"), "{error}");
}

#[test]
fn an_interrupted_saves_temporary_is_swept() {
    let world = World::new();
    drop(world.start("run", ""));
    let stale = world.path("run/checkpoints/.alexnet-tmp-123");
    fs::write(&stale, "half").unwrap();
    Run::open(&world.path("run")).unwrap();
    assert!(!stale.exists());
}

#[test]
fn another_pack_is_refused() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 2).unwrap_err();
    drop(trainer);
    let (_, path) = run::checkpoints(&world.path("run")).pop().unwrap();
    let checkpoint = Checkpoint::load(&path).unwrap();
    checkpoint.check_packs(&world.path("run"), &world.packs).unwrap();
    let other = Packs { train: Arc::clone(world.packs.val.as_ref().unwrap()), val: None };
    let error = checkpoint.check_packs(&world.path("run"), &other).unwrap_err().to_string();
    assert!(error.contains("--data") && error.contains(world.packs.train.fingerprint()), "{error}");
}

#[test]
fn a_batch_larger_than_the_pack_is_refused() {
    let world = World::new();
    let config = world.config("[run]\nbatch = 25");
    let error = Trainer::<Cpu<f32>>::check(&config, &world.model(), &world.packs).unwrap_err().to_string();
    assert!(error.contains("run.batch") && error.contains("24"), "{error}");
}

#[test]
fn weights_of_another_network_list_what_differs() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 2).unwrap_err();
    let text = support::MODEL.replace("units = 16", "units = 20").replace("fc3", "fc9");
    let model = layers::Model::parse(&text, "other").unwrap();
    let loaded = load::weights(&world.path("run"), None, &mut |_| {}).unwrap();
    let network =
        layers::Network::with_parameters(&Cpu::<f32>::new(1).unwrap(), &model, "run", &loaded.weights.tensors);
    let error = network.unwrap_err().to_string();
    for words in ["fc9.weight", "fc3.weight", "fc2.weight"] {
        assert!(error.contains(words), "{error}");
    }
}

/// Fine-tuning: all but the last layer from a run, for other classes.
#[test]
fn fresh_layers_are_initialised_anew() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 2).unwrap_err();
    let (_, path) = run::checkpoints(&world.path("run")).pop().unwrap();
    let more = format!("[model]\nweights = '{}'\nfresh = ['fc3']\n[run]\nseed = 5", path.display());
    let tuned = world.start("tuned", &more);
    let (a, b) = (support::bits(&trainer), support::bits(&tuned));
    for ((name, a), (_, b)) in a.iter().zip(&b) {
        assert_eq!(a == b, !name.starts_with("fc3."), "{name}");
    }
}
