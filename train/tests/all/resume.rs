//! A run stopped anywhere and resumed equals the run that was not, bit for bit.

use std::fs;

use alexnet_train::log::{StepLine, ValidationLine, read, read_steps};
use alexnet_train::trainer::RunEvent;
use alexnet_train::{Error, Stop};

use crate::support::{World, bits, train_until};

fn train_to_the_end(world: &World, name: &str, more: &str) -> Vec<(String, Vec<u32>)> {
    let mut trainer = world.start(name, more);
    train_until(&mut trainer, u64::MAX).unwrap();
    bits(&trainer)
}

/// Stops after each step of the run in turn: mid-epoch, at an epoch's end, before and after a drop of the rate.
#[test]
fn resumed_anywhere_equals_never_stopped() {
    let varied =
        "[data]\ncrop = 'resized'\nbrightness = 0.4\nhue = 0.1\nerase = 0.5\nmixup = 0.2\ncutmix = 1.0\nshared = 3
        label_smoothing = 0.1\nshuffle = 'window'\nwindow_bytes = 2000";
    for more in ["", "[optim]\nkind = 'adam'\nrate = 0.01", varied] {
        let world = World::new();
        let whole = train_to_the_end(&world, "whole", more);
        for stop_at in (1..12).step_by(if more == varied { 4 } else { 1 }) {
            let name = format!("stopped-{stop_at}");
            let mut trainer = world.start(&name, more);
            match train_until(&mut trainer, stop_at) {
                Err(Error::Stopped { signal: Some(2), saved: Some(path) }) => assert!(path.exists()),
                other => panic!("step {stop_at}: {other:?}"),
            }
            drop(trainer);
            let mut trainer = world.resume(&name, 2);
            assert_eq!(trainer.steps_done(), stop_at);
            train_until(&mut trainer, u64::MAX).unwrap();
            assert_eq!(bits(&trainer), whole, "stopped after step {stop_at}, {more:?}");
        }
    }
}

/// A kill saves no checkpoint: the run resumes from an earlier one, and the log has no line twice.
#[test]
fn killed_and_resumed_equals_never_stopped() {
    let world = World::new();
    let whole = train_to_the_end(&world, "whole", "");
    let mut trainer = world.start("killed", "");
    train_until(&mut trainer, 9).unwrap_err();
    drop(trainer);
    fs::remove_file(world.path("killed/checkpoints/step-000000009.h5")).unwrap();
    let mut trainer = world.resume("killed", 1);
    assert_eq!(trainer.steps_done(), 8);
    train_until(&mut trainer, u64::MAX).unwrap();
    assert_eq!(bits(&trainer), whole);

    let lines: Vec<StepLine> = read_steps(&world.path("killed/log.jsonl")).unwrap();
    assert_eq!(lines.iter().map(|l| l.step).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    let unbroken: Vec<StepLine> = read_steps(&world.path("whole/log.jsonl")).unwrap();
    for (a, b) in lines.iter().zip(&unbroken) {
        assert_eq!((a.epoch, a.loss, a.top1_error, a.rate), (b.epoch, b.loss, b.top1_error, b.rate));
    }
    let a: Vec<ValidationLine> = read(&world.path("killed/validation.jsonl")).unwrap();
    let b: Vec<ValidationLine> = read(&world.path("whole/validation.jsonl")).unwrap();
    let without_times = |lines: &[ValidationLine]| lines.iter().map(ValidationLine::without_times).collect::<Vec<_>>();
    assert_eq!(without_times(&a), without_times(&b));
    assert_eq!(a.len(), 3);
    // Time does not go back, and the run's seconds go on where they were.
    assert!(lines.windows(2).all(|pair| pair[0].seconds <= pair[1].seconds && pair[0].time <= pair[1].time));
    let rows = |name: &str| {
        let text = fs::read_to_string(world.path(name).join("metrics.csv")).unwrap();
        text.lines().map(|row| row.split(',').take(8).map(String::from).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(rows("killed"), rows("whole"));
    assert_eq!(rows("killed").len(), 4);
    let parameters = |name: &str| fs::read_to_string(world.path(name).join("parameters.csv")).unwrap();
    assert_eq!(parameters("killed"), parameters("whole"));
    // The plateau's threshold cannot be met: the rate has dropped.
    assert!(lines[11].rate < lines[0].rate);
}

#[test]
fn threads_do_not_change_bits() {
    let world = World::new();
    let one = train_to_the_end(&world, "one", "");
    for threads in [2, 3] {
        let more = format!("[run]\nthreads = {threads}");
        assert_eq!(train_to_the_end(&world, &format!("threads-{threads}"), &more), one);
    }
}

#[test]
fn seeds_change_bits() {
    let world = World::new();
    let one = train_to_the_end(&world, "one", "");
    assert_ne!(train_to_the_end(&world, "two", "[run]\nseed = 2"), one);
}

/// A run that is resumed for more epochs equals one that had them from the beginning.
#[test]
fn a_run_can_be_made_longer() {
    let world = World::new();
    let whole = train_to_the_end(&world, "whole", "");
    train_to_the_end(&world, "short", "[run]\nepochs = 2");
    let run = alexnet_train::run::Run::open(&world.path("short")).unwrap();
    run.set_config(&world.config("")).unwrap();
    drop(run);
    let mut trainer = world.resume("short", 1);
    train_until(&mut trainer, u64::MAX).unwrap();
    assert_eq!(bits(&trainer), whole);
}

/// The folder may be moved or copied between runs.
#[test]
fn a_moved_run_resumes() {
    let world = World::new();
    let whole = train_to_the_end(&world, "whole", "");
    let mut trainer = world.start("here", "");
    train_until(&mut trainer, 5).unwrap_err();
    drop(trainer);
    fs::rename(world.path("here"), world.path("there")).unwrap();
    let mut trainer = world.resume("there", 1);
    train_until(&mut trainer, u64::MAX).unwrap();
    assert_eq!(bits(&trainer), whole);
}

/// Of an epoch whose steps were all taken before, the speed is that of its last step.
#[test]
fn an_epoch_that_was_stopped_in_its_validation_has_a_speed() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    let stop = Stop::default();
    let flag = stop.clone();
    let stopped = trainer.train(&stop, &mut |event| {
        if matches!(event, RunEvent::Validating(_)) {
            flag.request_by_signal(2);
        }
    });
    stopped.unwrap_err();
    drop(trainer);
    train_until(&mut world.resume("run", 1), u64::MAX).unwrap();
    let text = fs::read_to_string(world.path("run/metrics.csv")).unwrap();
    let mut rows = text.lines();
    let column = rows.next().unwrap().split(',').position(|name| name == "images_per_s").unwrap();
    let speeds: Vec<f64> = rows.map(|row| row.split(',').nth(column).unwrap().parse().unwrap()).collect();
    assert!(!speeds.is_empty() && speeds.iter().all(|speed| *speed > 0.0), "{text}");
}
