//! When checkpoints are saved, and which one a command takes.

use std::fs;

use alexnet_train::checkpoint::Checkpoint;
use alexnet_train::config::Monitor;
use alexnet_train::load::{self, CheckpointChoice};
use alexnet_train::run::{self, Best, Run};
use alexnet_train::trainer::RunEvent;
use alexnet_train::{Result, Stop};
use layers::weights::Weights;
use layers::weights::hdf5_file::Parts;

use crate::support::World;

fn steps(world: &World, name: &str) -> Vec<u64> {
    run::checkpoints(&world.path(name)).unwrap().into_iter().map(|(step, _)| step).collect()
}

#[test]
fn a_checkpoint_is_saved_when_its_time_has_come() {
    let world = World::new();
    let more = "[run]\nepochs = 2\ncheckpoint_steps = 0\ncheckpoint_minutes = 1e-12";
    world.start("run", more).train(&Stop::default(), &mut |_| {}).unwrap();
    assert_eq!(steps(&world, "run"), (1..=8).collect::<Vec<u64>>());
}

#[test]
fn a_checkpoint_is_saved_on_request_and_the_user_is_told_where() {
    let world = World::new();
    let mut notes = Vec::new();
    let stop = Stop::default();
    let asker = stop.clone();
    let mut trainer = world.start("run", "[run]\nepochs = 2\ncheckpoint_steps = 0");
    let watch = &mut |event: RunEvent<'_>| match event {
        RunEvent::Step(line) if line.step == 3 => asker.request_save(),
        RunEvent::Note(note) => notes.push(note),
        _ => {}
    };
    trainer.train(&stop, watch).unwrap();
    assert!(steps(&world, "run").contains(&3));
    let path = world.path("run/checkpoints/step-000000003.h5");
    assert_eq!(notes, [format!("saved in {}, as requested", path.display())]);
    assert!(!stop.take_save_request());
}

/// A run of which step 4 is best, by a validation that another program may have made.
fn run_with_best() -> World {
    let world = World::new();
    world.start("run", "").train(&Stop::default(), &mut |_| {}).unwrap();
    let run = Run::open(&world.path("run")).unwrap();
    run.set_best(&Best { step: 4, monitor: Monitor::default(), value: 0.25 }).unwrap();
    run.save_best_weights(&Parts::of_weights(&weights_of_step(&world, 4))).unwrap();
    world
}

fn weights_of_step(world: &World, step: u64) -> Weights {
    Checkpoint::load(&world.path(&format!("run/checkpoints/step-{step:09}.h5"))).unwrap().weights
}

fn loaded(world: &World, choice: CheckpointChoice) -> (Result<Weights>, Vec<String>) {
    let mut notes = Vec::new();
    let loaded = load::weights_of(&world.path("run"), None, choice, &mut |note| notes.push(note));
    (loaded.map(|loaded| loaded.weights), notes)
}

#[test]
fn the_best_weights_are_taken_by_default_and_the_step_is_said() {
    let world = run_with_best();
    for choice in [CheckpointChoice::BestOrNewest, CheckpointChoice::Best] {
        let (weights, notes) = loaded(&world, choice);
        assert_eq!(weights.unwrap().tensors, weights_of_step(&world, 4).tensors);
        assert!(
            notes[0].ends_with(
                "run: weights of step 4, the best (validation top-1 error 25.0 %); the newest are of step 12"
            )
        );
    }
    let (weights, notes) = loaded(&world, CheckpointChoice::Newest);
    assert_eq!(weights.unwrap().tensors, weights_of_step(&world, 12).tensors);
    assert!(notes[0].ends_with("run: the newest weights, of step 12; the best are of step 4"), "{notes:?}");
}

#[test]
fn the_weights_alone_take_the_place_of_a_damaged_best_checkpoint() {
    let world = run_with_best();
    let best = weights_of_step(&world, 4);
    fs::write(world.path("run/checkpoints/step-000000004.h5"), b"damaged").unwrap();
    let (weights, notes) = loaded(&world, CheckpointChoice::Best);
    assert_eq!(weights.unwrap().tensors, best.tensors);
    assert!(notes[0].contains("best.h5"), "{notes:?}");

    fs::write(world.path("run/best.h5"), b"damaged too").unwrap();
    fs::write(world.path("run/checkpoints/step-000000012.h5"), b"and the newest").unwrap();
    let (weights, notes) = loaded(&world, CheckpointChoice::BestOrNewest);
    assert_eq!(weights.unwrap().tensors, weights_of_step(&world, 10).tensors);
    assert!(notes.last().unwrap().contains("of step 10"), "{notes:?}");
}

#[test]
fn the_best_weights_are_in_a_file_of_their_own() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    trainer.train(&Stop::default(), &mut |_| {}).unwrap();
    drop(trainer);
    let best = run::best(&world.path("run")).unwrap().unwrap();
    let path = world.path("run/best.h5");
    let alone = load::weights(&path, None, &mut |_| {}).unwrap().weights;
    assert_eq!(alone.tensors, weights_of_step(&world, best.step).tensors);
    let checkpoint = world.path(&format!("run/checkpoints/step-{:09}.h5", best.step));
    assert!(fs::metadata(&path).unwrap().len() < fs::metadata(checkpoint).unwrap().len());

    // A resumed run writes it anew where it is missing.
    fs::remove_file(&path).unwrap();
    drop(world.resume("run", 1));
    let again = load::weights(&path, None, &mut |_| {}).unwrap().weights;
    assert_eq!(again.tensors, alone.tensors);
}

#[test]
fn a_run_without_validation_has_no_best_checkpoint() {
    let world = World::new();
    let mut config = world.config("");
    config.data.val = None;
    let run = Run::create(&world.path("run"), &config, &world.model()).unwrap();
    let packs = alexnet_train::Packs::new(world.packs.train.clone());
    let cpu = tensor::Cpu::new(1).unwrap();
    let mut trainer = alexnet_train::trainer::Trainer::new(run, &cpu, &world.model(), packs, None).unwrap();
    trainer.train(&Stop::default(), &mut |_| {}).unwrap();
    let (weights, notes) = loaded(&world, CheckpointChoice::BestOrNewest);
    assert_eq!(weights.unwrap().tensors, weights_of_step(&world, 12).tensors);
    assert!(notes[0].contains("step 12; there was no validation"), "{notes:?}");
    std::fs::write(world.path("run/best.toml"), "step = ").unwrap();
    let (_, notes) = loaded(&world, CheckpointChoice::BestOrNewest);
    assert!(notes[0].contains("step 12; best.toml is damaged: the best is unknown"), "{notes:?}");
    std::fs::remove_file(world.path("run/best.toml")).unwrap();
    let (weights, _) = loaded(&world, CheckpointChoice::Best);
    assert!(weights.unwrap_err().to_string().contains("was not validated"));
}
