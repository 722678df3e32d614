//! A run goes on with the state of an optimizer that a file of Keras brings along.

use std::path::Path;

use alexnet_train::load::CheckpointChoice;
use alexnet_train::run::Run;
use alexnet_train::starting_weights::StartingWeights;
use alexnet_train::trainer::Trainer;
use alexnet_train::{formats, load};
use layers::{LayerKind, Model};
use tensor::Cpu;

use crate::support::{World, bits, train_until};

/// The small network without what Keras lacks, and without dropout, whose draws depend on the step.
fn model(world: &World) -> Model {
    let mut model = world.model();
    model.layers.retain(|layer| !matches!(layer.kind, LayerKind::Lrn(_) | LayerKind::Dropout(_)));
    model
}

/// Steps of the whole pack in the same order.
fn settings(optim: &str, epochs: usize, weights: Option<&Path>) -> String {
    let weights = weights.map_or(String::new(), |path| format!("[model]\nweights = '{}'\n", path.display()));
    format!(
        "{weights}[data]\naugment = false\nshuffle = false\n[optim]\nschedule = 'constant'\n{optim}\n[run]\nbatch = 24\n\
         epochs = {epochs}"
    )
}

fn start(world: &World, name: &str, more: &str) -> Trainer<Cpu<f32>> {
    let model = model(world);
    let run = Run::create(&world.path(name), &world.config(more), &model).unwrap();
    Trainer::new(run, &Cpu::new(1).unwrap(), &model, world.packs.clone(), None).unwrap()
}

fn note(world: &World, more: &str) -> String {
    let config = world.config(more);
    let model = model(world);
    let weights = StartingWeights::load(&config.model, &model).unwrap().unwrap();
    weights.optimizer_note(&config, &model).unwrap().unwrap()
}

#[test]
fn a_run_through_a_file_of_keras_equals_one_that_never_stopped() {
    let optims = [
        "kind = 'adam'\nlr = 0.01\nepsilon = 1e-7\nepsilon_hat = true",
        "kind = 'adamw'\nlr = 0.01\nepsilon = 1e-7\nepsilon_hat = true\nweight_decay = 0.1",
        "kind = 'sgd'\nlr = 0.01\nmomentum = 0.9\nnesterov = true",
    ];
    for optim in optims {
        let world = World::new();
        let mut whole = start(&world, "whole", &settings(optim, 5, None));
        train_until(&mut whole, u64::MAX).unwrap();
        let mut first = start(&world, "first", &settings(optim, 2, None));
        train_until(&mut first, u64::MAX).unwrap();
        drop(first);
        for name in ["first.keras", "first.weights.h5"] {
            let path = world.path(name);
            let loaded =
                load::with_optimizer(&world.path("first"), None, CheckpointChoice::Newest, &mut |_| {}).unwrap();
            formats::save_with(&path, &loaded.weights, loaded.optimizer.as_ref(), None).unwrap();
            let more = settings(optim, 3, Some(&path));
            let mut second = start(&world, &format!("second-{name}"), &more);
            train_until(&mut second, u64::MAX).unwrap();
            assert_eq!(bits(&second), bits(&whole), "{optim} {name}");
            let words = note(&world, &more);
            assert!(words.contains("goes on") && words.contains("after 2 steps"), "{words}");
        }
        // Without the state it is another run.
        let bare = world.path("bare.keras");
        let loaded = load::weights(&world.path("first"), None, &mut |_| {}).unwrap();
        assert!(loaded.optimizer.is_none());
        formats::save(&bare, &loaded.weights, None).unwrap();
        let mut other = start(&world, "other", &settings(optim, 3, Some(&bare)));
        train_until(&mut other, u64::MAX).unwrap();
        assert_ne!(bits(&other), bits(&whole));
    }
}

#[test]
fn a_state_that_does_not_fit_is_left_out_and_said_so() {
    let world = World::new();
    let adam = "kind = 'adam'\nlr = 0.01";
    let mut first = start(&world, "first", &settings(adam, 2, None));
    train_until(&mut first, u64::MAX).unwrap();
    drop(first);
    let path = world.path("first.keras");
    let loaded = load::with_optimizer(&world.path("first"), None, CheckpointChoice::Newest, &mut |_| {}).unwrap();
    formats::save_with(&path, &loaded.weights, loaded.optimizer.as_ref(), None).unwrap();
    let words = note(&world, &settings("kind = 'sgd'", 2, Some(&path)));
    assert!(words.contains("left out") && words.contains("sgd"), "{words}");
    let fresh = settings(adam, 2, Some(&path)).replace("[model]\n", "[model]\nreinit = ['fc3']\n");
    assert!(note(&world, &fresh).contains("anew"));
    start(&world, "second", &fresh);
}

/// Notes on what a file of Keras of a finished run does not hold.
fn notes_on_export(optim: &str) -> (Vec<String>, Option<f64>) {
    let world = World::new();
    let mut run = start(&world, "run", &settings(optim, 2, None).replacen("schedule = 'constant'\n", "", 1));
    train_until(&mut run, u64::MAX).unwrap();
    drop(run);
    let mut notes = Vec::new();
    let loaded =
        load::with_optimizer(&world.path("run"), None, CheckpointChoice::Newest, &mut |note| notes.push(note)).unwrap();
    // The first says which checkpoint it is.
    notes.retain(|note| !note.contains("the newest weights"));
    let model = loaded.weights.model.unwrap();
    let rate = model.train.get("optim").and_then(|optim| optim.get("lr")?.as_float());
    (notes, rate)
}

#[test]
fn what_keras_does_not_go_on_with_is_noted() {
    let steps = "schedule = 'steps'\ndrop_epochs = [1.0]\nlr = 0.5\nfactor = 0.25\nclip_norm = 1.0";
    let (notes, rate) = notes_on_export(steps);
    assert_eq!(rate, Some(0.125));
    assert!(notes[0].contains("schedule") && notes[0].contains("constant 0.125"), "{notes:?}");
    assert!(notes[1].contains("clipping"), "{notes:?}");
    // With a rate of 0 nothing would go on.
    let (_, rate) = notes_on_export("schedule = 'cosine'\ndecay_epochs = 2.0\nlr = 0.5");
    assert_eq!(rate, Some(0.5));
    let (notes, _) = notes_on_export("kind = 'rmsprop'");
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.contains("rmsprop, is left out") && note.contains("optim.kind"), "{note}");
    let (notes, _) = notes_on_export("kind = 'adam'\nschedule = \"constant\"");
    assert!(notes.is_empty(), "{notes:?}");
}
