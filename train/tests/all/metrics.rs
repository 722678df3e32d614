//! Metrics read for many steps together equal those read at each step, and nothing is lost or saved because they come
//! late.

use std::time::Duration;

use alexnet_train::checkpoint::Checkpoint;
use alexnet_train::log::{StepLine, ValidationLine, read};
use alexnet_train::trainer::{RunEvent, Trainer};
use alexnet_train::{Error, MetricsPolicy, Stop, run};
use tensor::Cpu;

use crate::support::{World, bits, train_until};

const HOUR: Duration = Duration::from_secs(3600);

/// A run whose metrics are read when `steps` are pending, and before a save, a validation or the end.
fn start(world: &World, name: &str, more: &str, steps: usize) -> Trainer<Cpu<f32>> {
    let mut trainer = world.start(name, more);
    trainer.set_metrics_policy(MetricsPolicy::Batched { steps, within: HOUR });
    trainer
}

/// The log but for times.
fn log(world: &World, name: &str) -> Vec<(u64, u64, f64, f64, f64)> {
    let lines: Vec<StepLine> = read(&world.path(&format!("{name}/log.jsonl"))).unwrap();
    lines.iter().map(|l| (l.step, l.epoch, l.loss, l.top1_error, l.rate)).collect()
}

/// The validations but for times.
fn validations(world: &World, name: &str) -> Vec<ValidationLine> {
    let lines: Vec<ValidationLine> = read(&world.path(&format!("{name}/validation.jsonl"))).unwrap();
    lines.iter().map(ValidationLine::without_times).collect()
}

#[test]
fn read_together_they_are_the_same() {
    let world = World::new();
    let mut at_once = world.start("at-once", "");
    train_until(&mut at_once, u64::MAX).unwrap();
    let lines = log(&world, "at-once");
    assert_eq!(lines.iter().map(|l| l.0).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    // Saves every 2 steps, every 3 and only at the ends of epochs of 4 steps.
    for (every, steps) in [(2, 3), (3, 32), (0, 3), (0, 32)] {
        let name = format!("late-{every}-{steps}");
        let mut late = start(&world, &name, &format!("[run]\ncheckpoint_steps = {every}"), steps);
        train_until(&mut late, u64::MAX).unwrap();
        assert_eq!(bits(&late), bits(&at_once), "{name}");
        assert_eq!(log(&world, &name), lines, "{name}");
        assert_eq!(validations(&world, &name), validations(&world, "at-once"), "{name}");
    }
}

/// The sums of an epoch that a checkpoint holds are those of all its steps, whenever they were read.
#[test]
fn checkpoints_hold_the_same_sums() {
    let world = World::new();
    train_until(&mut world.start("at-once", ""), u64::MAX).unwrap();
    train_until(&mut start(&world, "late", "", 32), u64::MAX).unwrap();
    let saved = run::checkpoints(&world.path("late")).unwrap();
    assert!(saved.len() >= 6, "{saved:?}");
    for (step, path) in saved {
        let at_once = world.path(&format!("at-once/checkpoints/step-{step:09}.h5"));
        let [late, at_once] = [&path, &at_once].map(|path| Checkpoint::load(path).unwrap().state);
        // Whether the end of an epoch is saved again after its validation depends on how long saving takes.
        if step.is_multiple_of(4) && late.position.epoch != at_once.position.epoch {
            continue;
        }
        assert_eq!(late, at_once, "step {step}");
    }
}

#[test]
fn events_come_in_order_and_in_groups_with_one_rate_each() {
    let world = World::new();
    let mut trainer = start(&world, "run", "[run]\ncheckpoint_steps = 0", 3);
    let mut steps = Vec::new();
    let mut rates = Vec::new();
    let watch = &mut |event: RunEvent<'_>| {
        if let RunEvent::Step(line) = event {
            steps.push(line.step);
            rates.push(line.images_per_s);
        }
    };
    trainer.train(&Stop::default(), watch).unwrap();
    assert_eq!(steps, (1..=12).collect::<Vec<_>>());
    // Epochs of 4 steps: 3 together, then 1 before the validation.
    for epoch in rates.chunks(4) {
        assert!(epoch[0] > 0.0 && epoch[0] == epoch[1] && epoch[1] == epoch[2] && epoch[2] != epoch[3], "{epoch:?}");
    }
}

#[test]
fn time_alone_makes_them_due() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    trainer.set_metrics_policy(MetricsPolicy::Batched { steps: 100, within: Duration::ZERO });
    // Each step is reported before the next one starts, so that a signal after the 5th stops the run there.
    train_until(&mut trainer, 5).unwrap_err();
    assert_eq!(trainer.steps_done(), 5);
}

#[test]
fn stopped_and_resumed_equals_never_stopped() {
    let world = World::new();
    let mut whole = start(&world, "whole", "", 5);
    train_until(&mut whole, u64::MAX).unwrap();
    for stop_at in [1, 4, 6, 10] {
        let name = format!("stopped-{stop_at}");
        // Without saves on the way, it is noticed when the numbers are read: up to two steps later.
        let mut trainer = start(&world, &name, "[run]\ncheckpoint_steps = 0", 3);
        assert!(matches!(train_until(&mut trainer, stop_at), Err(Error::Stopped { signal: Some(2), saved: Some(_) })));
        let stopped = trainer.steps_done();
        assert!((stop_at..stop_at + 3).contains(&stopped), "asked to stop at {stop_at}, did at {stopped}");
        assert_eq!(log(&world, &name).len() as u64, stopped);
        drop(trainer);
        let mut trainer = world.resume(&name, 1);
        trainer.set_metrics_policy(MetricsPolicy::Batched { steps: 3, within: HOUR });
        train_until(&mut trainer, u64::MAX).unwrap();
        assert_eq!(bits(&trainer), bits(&whole), "stopped at {stopped}");
        assert_eq!(log(&world, &name), log(&world, "whole"));
    }
}

/// Found late, a loss that is not a number still names its own step, and nothing was saved after it.
#[test]
fn a_loss_that_is_not_a_number_is_found_late_and_nothing_is_saved_after_it() {
    let world = World::new();
    let mut trainer = world.start("run", "");
    train_until(&mut trainer, 4).unwrap_err();
    drop(trainer);
    // A rate that blows the weights up at once, in the checkpoint too, with which the run's file is compared.
    let (_, path) = run::checkpoints(&world.path("run")).unwrap().pop().unwrap();
    let mut checkpoint = Checkpoint::load(&path).unwrap();
    checkpoint.state.config.optim.lr = 1e30;
    checkpoint.state.config.run.checkpoint_steps = 0;
    checkpoint.save(&path).unwrap();
    run::Run::open(&world.path("run")).unwrap().set_config(&checkpoint.state.config).unwrap();
    let before = run::checkpoints(&world.path("run")).unwrap();
    let copy = |to: &str| {
        let status = std::process::Command::new("cp").args(["-r"]).arg(world.path("run")).arg(world.path(to)).status();
        assert!(status.unwrap().success());
    };
    copy("at-once");
    let at_once = train_until(&mut world.resume("at-once", 1), u64::MAX).unwrap_err();
    let Error::Diverged { step: expected, .. } = at_once else { panic!("{at_once}") };

    let mut trainer = world.resume("run", 1);
    trainer.set_metrics_policy(MetricsPolicy::Batched { steps: 100, within: HOUR });
    let error = train_until(&mut trainer, u64::MAX).unwrap_err();
    let message = error.to_string();
    let Error::Diverged { step, loss, .. } = error else { panic!("{message}") };
    assert!(step == expected && !loss.is_finite(), "{message}; at once it was step {expected}");
    for words in
        [format!("step {step}: "), "after step 8, when".into(), "parameter ".into(), "step-000000004.h5".into()]
    {
        assert!(message.contains(&words), "{message} lacks {words:?}");
    }
    assert_eq!(run::checkpoints(&world.path("run")).unwrap(), before, "nothing was saved");
    assert_eq!(log(&world, "run").last().unwrap().0, step - 1, "the log ends before it");
}
