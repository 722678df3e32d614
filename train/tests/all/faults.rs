//! A fault in a run ends in a clear message and loses nothing.

use std::fs;
use std::sync::Arc;

use alexnet_train::checkpoint::Checkpoint;
use alexnet_train::config::Monitor;
use alexnet_train::run::{self, Run};
use alexnet_train::trainer::Trainer;
use alexnet_train::{Error, Packs, load};
use tensor::Cpu;

use crate::support::{self, World, train_until};

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_checkpoint() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 6).unwrap_err();
    drop(trainer);
    let (_, path) = run::checkpoints(&world.path("run")).unwrap().pop().unwrap();

    // A rate that blows the weights up at once.
    let mut checkpoint = Checkpoint::load(&path).unwrap();
    checkpoint.state.config.optim.lr = 1e30;
    checkpoint.save(&path).unwrap();
    let good = fs::read(&path).unwrap();
    Run::open(&world.path("run")).unwrap().set_config(&checkpoint.state.config).unwrap();
    let error = train_until(&mut world.resume("run", 1), u64::MAX).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Diverged { .. }), "{message}");
    assert!(message.contains("parameter ") || message.contains("layer "), "{message}");
    assert!(message.contains("step-000000006.h5"), "{message}");
    assert!(fs::read(&path).unwrap() == good, "the checkpoint was written again");
}

/// The only step of an epoch blows the weights up; its own loss was a number.
#[test]
fn outputs_that_are_not_numbers_in_validation_stop_the_run() {
    let world = World::new();
    let mut trainer = world.start("run", "[optim]\nlr = 1e30\n[run]\nbatch = 24\ncheckpoint_steps = 0");
    let error = train_until(&mut trainer, u64::MAX).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Diverged { step: 1, .. }) && message.contains("stopped in validation"), "{message}");
    assert!(run::checkpoints(&world.path("run")).unwrap().is_empty(), "weights of no use were saved");
}

#[test]
fn a_broken_checkpoint_is_passed_over() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 6).unwrap_err();
    drop(trainer);
    let (_, newest) = run::checkpoints(&world.path("run")).unwrap().pop().unwrap();
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
    assert!(error.contains("resume it"), "{error}");
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
    let (_, path) = run::checkpoints(&world.path("run")).unwrap().pop().unwrap();
    let checkpoint = Checkpoint::load(&path).unwrap();
    let check = |packs| checkpoint.check_run(&world.path("run"), &world.config(""), &world.model(), packs);
    check(&world.packs).unwrap();
    let other = Packs::new(Arc::clone(world.packs.val.as_ref().unwrap()));
    let error = check(&other).unwrap_err().to_string();
    assert!(error.contains("data.train") && error.contains(world.packs.train.fingerprint()), "{error}");
}

/// The run's files are compared with the checkpoint, which holds its own copies.
#[test]
fn files_of_a_run_edited_since_its_checkpoint_are_refused() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 2).unwrap_err();
    drop(trainer);
    let resumed = || {
        let run = Run::open(&world.path("run")).unwrap();
        let model = run.model().unwrap();
        let from = load::newest_checkpoint(&world.path("run"), &mut |_| {}).unwrap().map(|(_, checkpoint)| checkpoint);
        Trainer::new(run, &Cpu::new(1).unwrap(), &model, world.packs.clone(), from).map(|_| ())
    };
    resumed().unwrap();
    let cases = [
        ("run.toml", "batch = 7", "batch = 5", "run.batch was 7, now 5"),
        ("run.toml", "kind = \"sgd\"", "kind = \"lars\"", "optim.kind was \"sgd\", now \"lars\""),
        ("model.toml", "std = 0.2", "std = 0.3", "model.toml: "),
    ];
    for (file, from, to, expected) in cases {
        let path = world.path("run").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = resumed().unwrap_err();
        assert!(matches!(error, Error::Resume { .. }) && error.to_string().contains(expected), "{error}");
        fs::write(&path, text).unwrap();
    }
    // How long a run is may change.
    let path = world.path("run/run.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("epochs = 3", "epochs = 4", 1)).unwrap();
    resumed().unwrap();
}

/// A run that lost its checkpoints would overwrite its logs.
#[test]
fn a_run_without_the_checkpoints_it_saved_does_not_begin_again() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, u64::MAX).unwrap();
    drop(trainer);
    let run = world.path("run");
    let log = fs::read(run.join("log.jsonl")).unwrap();
    let refused = |why: &str| {
        let opened = Run::open(&run).unwrap();
        let model = opened.model().unwrap();
        let resumed = Trainer::new(opened, &Cpu::new(1).unwrap(), &model, world.packs.clone(), None);
        let error = resumed.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("restore them"), "{error}");
        assert_eq!(fs::read(run.join("log.jsonl")).unwrap(), log);
    };
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    refused("its folder of checkpoints is gone");
    fs::create_dir(run.join("checkpoints")).unwrap();
    refused("checkpoints/ holds none, but best.toml says which validated best; ");
    fs::rename(run.join("best.h5"), run.join("moved")).unwrap();
    refused("best.toml says which validated best; restore");
    fs::remove_file(run.join("best.toml")).unwrap();
    refused("log.jsonl has 12 steps of more than an epoch");
}

/// Killed after the save of the best checkpoint and before `best.toml`: the checkpoint knows.
#[test]
fn the_best_checkpoint_is_known_again_after_a_kill() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, u64::MAX).unwrap();
    drop(trainer);
    let best = run::best(&world.path("run")).unwrap().unwrap();
    let (newest, _) = run::checkpoints(&world.path("run")).unwrap().pop().unwrap();
    for stale in [None, Some("step = 3\ntop1_error = 1.5\n")] {
        match stale {
            Some(text) => fs::write(world.path("run/best.toml"), text).unwrap(),
            None => fs::remove_file(world.path("run/best.toml")).unwrap(),
        }
        drop(world.resume("run", 1));
        assert_eq!(run::best(&world.path("run")).unwrap(), Some(best.clone()));
    }
    // Of a checkpoint after the one that the run resumes from, `best.toml` is believed.
    let later = run::Best { step: newest, monitor: Monitor::default(), value: 0.0 };
    Run::open(&world.path("run")).unwrap().set_best(&later).unwrap();
    let path = world.path("run").join(format!("checkpoints/step-{newest:09}.h5"));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[1..]).unwrap();
    drop(world.resume("run", 1));
    assert_eq!(run::best(&world.path("run")).unwrap(), Some(later));
}

/// Only checkpoints before one that is known to be good are removed: newer ones that cannot be read do not count.
#[test]
fn pruning_never_removes_what_a_run_can_go_on_from() {
    let world = World::new();
    let run = Run::create(&world.path("run"), &world.config(""), &world.model()).unwrap();
    let names = || run::checkpoints(&world.path("run")).unwrap().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
    for step in [2, 4, 6, 8, 10] {
        fs::write(run.checkpoint_path(step), "x").unwrap();
    }
    assert_eq!(run.prune(6, 2, Some(2)).unwrap(), 0);
    assert_eq!(names(), [2, 4, 6, 8, 10]);
    assert_eq!(run.prune(6, 1, Some(2)).unwrap(), 1);
    assert_eq!(names(), [2, 6, 8, 10]);
    assert_eq!(run.prune(8, 0, None).unwrap(), 2);
    assert_eq!(names(), [8, 10]);
}

/// A folder with a user's files does not become a run; one with the files of an interrupted creation does.
#[test]
fn a_folder_of_other_files_is_refused() {
    let world = World::new();
    let folder = world.path("photos");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("lock"), "").unwrap();
    fs::write(folder.join(".alexnet-tmp-1"), "").unwrap();
    Run::create(&folder, &world.config(""), &world.model()).unwrap();
    fs::remove_file(folder.join("run.toml")).unwrap();
    Run::create(&folder, &world.config(""), &world.model()).unwrap();
    fs::remove_file(folder.join("run.toml")).unwrap();
    fs::write(folder.join("cat.jpg"), "x").unwrap();
    let error = Run::create(&folder, &world.config(""), &world.model()).unwrap_err().to_string();
    assert!(error.contains("cat.jpg") && error.contains("choose another folder"), "{error}");
    assert!(!folder.join("run.toml").exists());
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
    let (_, path) = run::checkpoints(&world.path("run")).unwrap().pop().unwrap();
    let more = format!("[model]\nweights = '{}'\nfresh = ['fc3']\n[run]\nseed = 5", path.display());
    let tuned = world.start("tuned", &more);
    let a = support::bits(&trainer);
    let b = support::bits(&tuned);
    for ((name, a), (_, b)) in a.iter().zip(&b) {
        assert_eq!(a == b, !name.starts_with("fc3."), "{name}");
    }
}
