//! Settings that a resumed run changes.

use std::path::Path;

use alexnet_train::run::Run;
use alexnet_train::trainer::RunEvent;
use alexnet_train::{Config, Error, Stop};

use crate::support::{World, bits, train_until};

/// Trains to the end, and returns the notes.
fn notes(trainer: &mut alexnet_train::trainer::Trainer<tensor::Cpu<f32>>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut watch = |event: RunEvent<'_>| {
        if let RunEvent::Note(text) = event {
            notes.push(text);
        }
    };
    trainer.train(&Stop::default(), &mut watch).unwrap();
    notes
}

/// Trains 5 steps with `before`, and the rest with `after`.
fn change(world: &World, name: &str, before: &str, after: &str) -> (Vec<String>, Vec<(String, Vec<u32>)>) {
    let mut trainer = world.start(name, before);
    train_until(&mut trainer, 5).unwrap_err();
    drop(trainer);
    Run::open(&world.path(name)).unwrap().set_config(&world.config(after)).unwrap();
    let mut trainer = world.resume(name, 1);
    let notes = notes(&mut trainer);
    assert_eq!(trainer.steps_done(), 12);
    (notes, bits(&trainer))
}

#[test]
fn a_changed_setting_is_noted_with_both_values_and_has_an_effect() {
    let world = World::new();
    let constant = "[optim]\nschedule = 'constant'\n";
    let (quiet, unchanged) = change(&world, "unchanged", constant, constant);
    assert!(quiet.is_empty(), "{quiet:?}");
    for (i, (setting, expected)) in [
        ("lr = 0.005", "optim.lr was 0.05, now 0.005"),
        ("momentum = 0.5", "optim.momentum was 0.9, now 0.5"),
        ("weight_decay = 0.1", "optim.weight_decay was 0.0005, now 0.1"),
        ("clip_norm = 0.01", "optim.clip_norm was 0.0, now 0.01"),
        ("warmup_epochs = 2.0", "optim.warmup_epochs was 0.0, now 2.0"),
        ("[data]\nmixup = 0.5", "data.mixup was 0.0, now 0.5"),
        ("[data]\naugment = false", "data.augment was true, now false"),
    ]
    .into_iter()
    .enumerate()
    {
        let (notes, changed) = change(&world, &format!("run-{i}"), constant, &format!("{constant}{setting}"));
        assert_eq!(notes, [format!("{expected}: the run differs from step 6 on")]);
        assert_ne!(changed, unchanged, "{setting}");
    }
}

/// A plateau that has dropped cannot be the state of another schedule, which begins at its own start.
#[test]
fn another_schedule_does_not_take_over_the_state() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 9).unwrap_err();
    assert_eq!(trainer.learner().schedule.state().drops, 1);
    drop(trainer);
    let cosine = world.config("[optim]\nschedule = 'cosine'\ndecay_epochs = 3.0");
    Run::open(&world.path("run")).unwrap().set_config(&cosine).unwrap();
    let mut trainer = world.resume("run", 1);
    assert_eq!(trainer.learner().schedule.state(), &Default::default());
    let notes = notes(&mut trainer);
    assert!(notes.iter().any(|note| note.contains("optim.schedule was \"plateau\", now \"cosine\"")), "{notes:?}");
}

/// A setting that a checkpoint cannot go on with is refused, with the settings of a new run.
#[test]
fn what_may_not_change_says_what_a_new_run_needs() {
    let before = Config::default();
    for (toml, expected) in [
        ("run.batch = 64", "run.batch was 128, now 64"),
        ("run.seed = 2", "run.seed was 1, now 2"),
        ("optim.kind = 'adam'", "optim.kind was \"sgd\", now \"adam\""),
        ("model.name = 'linear'", "model.name was \"paper\", now \"linear\""),
        ("data.shuffle = 'none'", "data.shuffle was \"auto\", now \"none\""),
    ] {
        let error = Config::parse("new", toml).unwrap().check_resumable(&before, Path::new("old")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.ends_with("or begin a new run with model.weights = \"old\""), "{text}");
        let Error::Resume { settings, .. } = error else { panic!("{error}") };
        assert_eq!(settings.len(), 1);
        assert!(toml.starts_with(&settings[0].0), "{settings:?}");
    }
    // RMSprop keeps a velocity only with momentum.
    let rmsprop =
        |momentum: f64| Config::parse("t", &format!("optim.kind = 'rmsprop'\noptim.momentum = {momentum:?}")).unwrap();
    rmsprop(0.5).check_resumable(&rmsprop(0.9), Path::new("old")).unwrap();
    let error = rmsprop(0.0).check_resumable(&rmsprop(0.9), Path::new("old")).unwrap_err();
    assert!(error.to_string().contains("optim.momentum was 0.9, now 0.0"), "{error}");
}
