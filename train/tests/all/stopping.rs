//! Runs that callbacks and programs end.

use std::ops::ControlFlow;

use alexnet_train::checkpoint::Checkpoint;
use alexnet_train::config::Monitor;
use alexnet_train::trainer::{NetworkLearner, RunEvent, TRAINING_LOSS, Trainer, VALIDATION_ERROR, VALIDATION_LOSS};
use alexnet_train::{EarlyStopping, Ended, Error, Event, Packs, Stop, on_event, run};
use tensor::Cpu;

use crate::support::{World, bits, train_until};

type OnCpu = Cpu<f32>;

/// A break is a success with its reason, saved once, and the run resumes from there.
#[test]
fn early_stopping_ends_a_run_that_is_saved_once() {
    let world = World::new();
    let mut whole = world.start("whole", "");
    train_until(&mut whole, u64::MAX).unwrap();
    let mut trainer = world.start("early", "");
    // No improvement is large enough after the first.
    let mut early = EarlyStopping::new(VALIDATION_ERROR, 1).min_delta(1.0);
    let mut saved = Vec::new();
    let mut watch = |event: RunEvent<'_>| {
        if let RunEvent::Saved(path) = event {
            saved.push(path.to_path_buf());
        }
    };
    let ended = trainer.train_with(&Stop::default(), &mut watch, &mut [&mut early]).unwrap();
    let reason = ended.reason().unwrap();
    assert!(reason.starts_with(&format!("{VALIDATION_ERROR} has not improved on ")), "{reason}");
    assert!(reason.ends_with(" for 1 epoch"), "{reason}");
    assert_eq!(trainer.steps_done(), 8);
    drop(trainer);
    // After step 8 there is one within the epoch, and at most one after its validation: not a third at the end.
    let last = world.path("early/checkpoints/step-000000008.h5");
    let count = saved.iter().filter(|path| **path == last).count();
    assert!((1..=2).contains(&count), "{saved:?}");
    let position = Checkpoint::load(&last).unwrap().state.position;
    assert_eq!((position.step, position.epoch, position.batch), (8, 2, 0));
    let mut trainer = world.resume("early", 1);
    train_until(&mut trainer, u64::MAX).unwrap();
    assert_eq!(bits(&trainer), bits(&whole));
}

/// The settings do what the callback does, and their state is in the checkpoint: a run that was killed stops where it would
/// have stopped.
#[test]
fn the_setting_stops_a_run_also_after_a_resume() {
    let settings = "[optim]\nschedule = 'constant'\n[run]\nepochs = 9\nearly_stopping = 3\n\
                    early_stopping_min_delta = 1.0\nmonitor = 'training-loss'";
    let world = World::new();
    let notes = |trainer: &mut Trainer<OnCpu>| {
        let mut notes = Vec::new();
        let mut watch = |event: RunEvent<'_>| {
            if let RunEvent::Note(text) = event {
                notes.push(text);
            }
        };
        let ended = trainer.train_with(&Stop::default(), &mut watch, &mut []).unwrap();
        (ended, notes)
    };
    let mut whole = world.start("whole", settings);
    let (ended, said) = notes(&mut whole);
    assert_eq!(whole.steps_done(), 16);
    let reason = ended.reason().unwrap().to_string();
    assert!(reason.starts_with(TRAINING_LOSS) && reason.ends_with(" for 3 epochs"), "{reason}");
    assert_eq!(said, [format!("stopped early: {reason}")]);
    let best = run::best(&world.path("whole")).unwrap().unwrap();
    assert_eq!(best.monitor, Monitor::TrainingLoss);
    for kill_at in [6, 9, 13] {
        let name = format!("killed-{kill_at}");
        let mut trainer = world.start(&name, settings);
        train_until(&mut trainer, kill_at).unwrap_err();
        drop(trainer);
        let mut trainer = world.resume(&name, 1);
        assert_eq!(notes(&mut trainer).0.reason(), Some(reason.as_str()));
        assert_eq!(bits(&trainer), bits(&whole));
    }
    // More patience lets it go on; without it, nothing changes.
    drop(whole);
    let mut again = world.resume("whole", 1);
    let (ended, said) = notes(&mut again);
    assert_eq!((again.steps_done(), ended.reason()), (16, Some(reason.as_str())));
    assert_eq!(said, [format!("stopped early already: {reason}; a larger run.early_stopping lets the run go on")]);
    drop(again);
    let more = world.config(&settings.replace("early_stopping = 3", "early_stopping = 4"));
    run::Run::open(&world.path("whole")).unwrap().set_config(&more).unwrap();
    let mut again = world.resume("whole", 1);
    notes(&mut again);
    assert_eq!(again.steps_done(), 20);
}

/// Without a validation pack, metrics of the training decide; those of a validation are asked for in vain.
#[test]
fn what_is_monitored_is_there_or_said_to_be_missing() {
    let world = World::new();
    for (monitor, has_best) in [("validation-loss", false), ("training-top1-error", true)] {
        let config = world.config(&format!("[run]\nearly_stopping = 5\nmonitor = '{monitor}'"));
        let run = run::Run::create(&world.path(monitor), &config, &world.model()).unwrap();
        let packs = Packs::new(world.packs.train.clone());
        let mut trainer = Trainer::new(run, &OnCpu::new(1).unwrap(), &world.model(), packs, None).unwrap();
        let mut notes = 0;
        let mut watch = |event: RunEvent<'_>| notes += usize::from(matches!(event, RunEvent::Note(_)));
        trainer.train(&Stop::default(), &mut watch).unwrap();
        assert_eq!(notes, if has_best { 0 } else { 2 });
        assert_eq!(run::best(&world.path(monitor)).unwrap().is_some(), has_best);
        // The plateau's threshold cannot be met after the first epoch: it drops if it sees the metric.
        assert_eq!(trainer.learner().schedule.state().drops > 0, has_best);
    }
}

/// A checkpoint that was saved at the end of an epoch is not saved again when the run stops there.
#[test]
fn a_state_is_saved_once() {
    let world = World::new();
    let mut trainer = world.start("run", "[run]\ncheckpoint_steps = 0");
    let stop = Stop::default();
    let button = stop.clone();
    let mut saved = Vec::new();
    let watch = &mut |event: RunEvent<'_>| match event {
        // The save after the first validation is always due.
        RunEvent::Validated(_) => button.request(),
        RunEvent::Saved(path) => saved.push(path.to_path_buf()),
        _ => {}
    };
    let error = trainer.train(&stop, watch).unwrap_err();
    let Error::Stopped { signal: None, saved: Some(path) } = &error else { panic!("{error}") };
    assert_eq!(saved, std::slice::from_ref(path));
    assert!(error.to_string().starts_with("stopped on request, saved in "), "{error}");
}

/// Callbacks see the learner, and what they change is saved and resumed.
#[test]
fn a_changed_rate_is_resumed() {
    let world = World::new();
    let halve_at = |step: u64| {
        on_event(move |event: Event<'_>, learner: &mut NetworkLearner<OnCpu>| match event {
            Event::StepEnds if learner.progress().step == step => learner.rate_factor = 0.5,
            Event::Epoch(report) => {
                let error = learner.recorded(VALIDATION_ERROR).unwrap();
                assert!((0.0..=1.0).contains(&error) && learner.recorded(VALIDATION_LOSS).unwrap() > 0.0);
                assert_eq!(report.metrics.examples, 24);
            }
            _ => {}
        })
    };
    let quiet = &mut |_: RunEvent<'_>| {};
    let mut whole = world.start("whole", "");
    let ended = whole.train_with(&Stop::default(), quiet, &mut [&mut halve_at(3)]).unwrap();
    assert_eq!(ended, Ended::Finished);
    let mut unchanged = world.start("unchanged", "");
    train_until(&mut unchanged, u64::MAX).unwrap();
    assert_ne!(bits(&unchanged), bits(&whole));
    let mut first = world.start("first", "");
    let mut end = on_event(|event: Event<'_>, learner: &mut NetworkLearner<OnCpu>| match event {
        Event::StepEnds if learner.progress().step == 5 => ControlFlow::Break("enough".to_string()),
        _ => ControlFlow::Continue(()),
    });
    let ended = first.train_with(&Stop::default(), quiet, &mut [&mut halve_at(3), &mut end]).unwrap();
    assert_eq!(ended.reason(), Some("enough"));
    drop(first);
    let (step, path) = run::checkpoints(&world.path("first")).unwrap().pop().unwrap();
    assert_eq!((step, Checkpoint::load(&path).unwrap().state.rate_factor), (5, 0.5));
    let mut second = world.resume("first", 1);
    train_until(&mut second, u64::MAX).unwrap();
    assert_eq!(bits(&second), bits(&whole));
}

#[test]
fn a_request_has_a_signal_or_none() {
    let stop = Stop::default();
    assert!(!stop.is_requested() && stop.signal().is_none() && stop.check().is_ok());
    stop.request();
    assert!(stop.is_requested() && stop.signal().is_none());
    assert!(matches!(stop.check(), Err(Error::Stopped { signal: None, saved: None })));
    stop.request_by_signal(15);
    assert!(matches!(stop.check(), Err(Error::Stopped { signal: Some(15), .. })));
}
