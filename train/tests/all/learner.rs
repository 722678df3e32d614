//! Training of a module in code: exact resume, reports, schedules, callbacks.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::Duration;

use alexnet_train::layers::Pass;
use alexnet_train::optim::{Optimizer, Schedule, ScheduleRule};
use alexnet_train::{
    Batches, Callback, EarlyStopping, Ended, Error, Event, Learner, MetricSums, MetricsPolicy, Result, StepReport,
    WRONG, evaluate_with, on_event,
};
use proptest::prelude::*;

use crate::support::loops::{OnCpu, Row, Rows, Small, learner, loss, rule};

type SmallLearner = Learner<OnCpu, Small<OnCpu>>;

/// A callback that ends a training after `step` steps.
fn stop_after(step: u64) -> impl Callback<OnCpu, Small<OnCpu>> {
    on_event(move |event: Event<'_>, learner: &mut SmallLearner| match event {
        Event::StepEnds if learner.progress().step == step => ControlFlow::Break(format!("step {step}")),
        _ => ControlFlow::Continue(()),
    })
}

/// Trains, and returns the number of each batch and the reports of all steps.
fn train(
    learner: &mut SmallLearner,
    rows: &Rows,
    callback: &mut dyn Callback<OnCpu, Small<OnCpu>>,
) -> (Ended, Vec<(u64, usize)>, Vec<StepReport>) {
    let seen = RefCell::new(Vec::new());
    let mut reports = Vec::new();
    let watched = |module: &Small<OnCpu>, row: Row, pass: &mut Pass<OnCpu>| {
        seen.borrow_mut().push((row.epoch, row.number));
        loss(module, row, pass)
    };
    let mut watch = on_event(|event: Event<'_>, _: &mut SmallLearner| {
        if let Event::Step(report) = event {
            reports.push(report.clone());
        }
    });
    let ended = learner.fit(rows, watched, &mut [&mut watch, callback]).unwrap();
    (ended, seen.into_inner(), reports)
}

/// Reports without their times.
fn values(reports: &[StepReport]) -> Vec<StepReport> {
    reports
        .iter()
        .cloned()
        .map(|mut report| {
            report.examples_per_s = 0.0;
            report
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Stopped after any step, saved, and resumed by a new learner: the batches, the reports, the sums of each epoch and
    /// the bits of the module are those of a training that was never stopped.
    #[test]
    fn a_resume_at_any_step_equals_no_interruption(
        adam in any::<bool>(),
        batches in 1usize..5,
        epochs in 1u64..4,
        at in 0.0f64..1.0,
    ) {
        let rows = Rows { batches };
        let mut whole = learner(adam, epochs);
        let total = whole.total_steps(batches);
        let (_, all, reports) = train(&mut whole, &rows, &mut stop_after(u64::MAX));
        let stop = 1 + (at * (total - 1) as f64) as u64;
        let mut first = learner(adam, epochs);
        let (ended, mut seen, mut reported) = train(&mut first, &rows, &mut stop_after(stop));
        prop_assert_eq!(ended, Ended::Stopped { reason: format!("step {stop}") });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loop.h5");
        first.checkpoint().unwrap().save(&path).unwrap();
        let mut second = learner(adam, epochs);
        second.module = Small::new(77);
        second.restore(&alexnet_train::LoopCheckpoint::load(&path).unwrap()).unwrap();
        prop_assert_eq!(second.progress(), first.progress());
        let (ended, rest, more) = train(&mut second, &rows, &mut stop_after(u64::MAX));
        prop_assert_eq!(ended, Ended::Finished);
        seen.extend(rest);
        reported.extend(more);
        prop_assert_eq!(seen, all);
        prop_assert_eq!(values(&reported), values(&reports));
        prop_assert_eq!(second.module.bits(), whole.module.bits());
        prop_assert_eq!(second.progress(), whole.progress());
    }

    /// The sums of an epoch are those of its steps, whenever they are read, and each step is reported once, in order.
    #[test]
    fn sums_of_an_epoch_are_those_of_its_steps(batches in 1usize..7, epochs in 1u64..4, pending in 1usize..9) {
        let rows = Rows { batches };
        let mut expected: Vec<MetricSums> = Vec::new();
        let mut found = Vec::new();
        let mut steps = Vec::new();
        let within = Duration::from_secs(3600);
        let mut late = learner(false, epochs).metrics_policy(MetricsPolicy::Batched { steps: pending, within });
        let mut watch = on_event(|event: Event<'_>, _: &mut SmallLearner| match event {
            Event::Step(report) => {
                steps.push(report.step);
                let epoch = report.epoch as usize;
                expected.resize_with(expected.len().max(epoch + 1), MetricSums::default);
                let sums = &mut expected[epoch];
                let n = report.metrics.examples as f64;
                sums.examples += report.metrics.examples as u64;
                sums.loss += report.metrics.loss * n;
                for name in [WRONG, "logit"] {
                    *sums.others.entry(name.into()).or_default() += report.metrics.sum(name).unwrap();
                }
            }
            Event::Epoch(report) => found.push((report.epoch, report.metrics.clone())),
            _ => {}
        });
        late.fit(&rows, loss, &mut [&mut watch]).unwrap();
        prop_assert_eq!(steps, (1..=late.progress().step).collect::<Vec<_>>());
        let numbered: Vec<_> = (1..).zip(expected.clone()).collect();
        prop_assert_eq!(&found, &numbered);
        for (epoch, sums) in expected.iter().enumerate() {
            let rows: usize = (0..batches).map(|number| rows.batch(epoch as u64, number).labels.len()).sum();
            prop_assert_eq!(sums.examples, rows as u64);
        }
        let mut at_once = learner(false, epochs);
        at_once.fit(&Rows { batches }, loss, &mut []).unwrap();
        prop_assert_eq!(at_once.module.bits(), late.module.bits());
    }

    /// The rate of each step is that of the schedule at its epoch with fractions, times the factor that a callback set.
    #[test]
    fn rates_are_those_of_the_schedule(
        batches in 1usize..6,
        epochs in 1u64..4,
        base in 1e-4f64..1e-2,
        change in 0u64..12,
    ) {
        let schedules = [
            ScheduleRule::Constant,
            ScheduleRule::Steps { drop_epochs: vec![0.5, 2.0], factor: 0.1 },
            ScheduleRule::Exponential { gamma: 0.5 },
            ScheduleRule::Polynomial { epochs: 2.5, power: 2.0, end: 0.1 },
        ];
        for scheduled in schedules {
            let schedule = Schedule::new(scheduled).unwrap();
            let mut learner = Learner::new(Small::new(1), Optimizer::new(rule(false)).unwrap()).unwrap();
            learner = learner.learning_rate(base).schedule(schedule.clone()).epochs(epochs);
            let mut halve = on_event(|event: Event<'_>, learner: &mut SmallLearner| {
                if matches!(event, Event::StepEnds) && learner.progress().step == change {
                    learner.rate_factor = 0.5;
                }
            });
            let (_, _, reports) = train(&mut learner, &Rows { batches }, &mut halve);
            for report in reports {
                let step = report.step - 1;
                let position = (step / batches as u64) as f64 + (step % batches as u64) as f64 / batches as f64;
                let factor = if change > 0 && step >= change { 0.5 } else { 1.0 };
                prop_assert_eq!(report.learning_rate, schedule.rate(base, position) * factor, "step {}", step);
            }
        }
    }

    /// Early stopping against its definition: the first epoch that ends `patience` consecutive ones without a value that
    /// is lower by more than `delta` than the lowest before.
    #[test]
    fn early_stopping_is_its_definition(
        errors in proptest::collection::vec(prop_oneof![4 => (0u32..20).prop_map(|n| f64::from(n) / 10.0), 1 => Just(f64::NAN)], 1..12),
        patience in 1u64..4,
        delta in 0u32..3,
    ) {
        let delta = f64::from(delta) / 10.0;
        let mut best = f64::INFINITY;
        let mut improved_at = 0;
        let mut expected = None;
        for (epoch, &error) in errors.iter().enumerate() {
            if error < best - delta {
                best = error;
                improved_at = epoch + 1;
            } else if expected.is_none() && (epoch + 1 - improved_at) as u64 == patience {
                expected = Some(epoch as u64 + 1);
            }
            if expected.is_some() {
                break;
            }
        }
        let mut early = EarlyStopping::new("error", patience).min_delta(delta);
        let mut learner = learner(false, errors.len() as u64);
        let mut validate = on_event(|event: Event<'_>, learner: &mut SmallLearner| {
            if let Event::Epoch(report) = event {
                learner.record("error", errors[report.epoch as usize - 1]);
            }
        });
        let ended = learner.fit(&Rows { batches: 2 }, loss, &mut [&mut validate, &mut early]).unwrap();
        prop_assert_eq!(learner.progress().epoch, expected.unwrap_or(errors.len() as u64));
        prop_assert_eq!(ended.reason().is_some(), expected.is_some());
        let text = serde_json::to_string(&early).unwrap();
        prop_assert_eq!(serde_json::from_str::<EarlyStopping>(&text).unwrap(), early);
    }
}

/// In test mode nothing is random or changes, and the sums are those of all batches.
#[test]
fn an_evaluation_sums_all_batches_in_test_mode() {
    let module = Small::new(5);
    let rows = Rows { batches: 4 };
    let before = module.bits();
    let sums = evaluate_with(&module, &rows, loss).unwrap();
    assert_eq!(sums, evaluate_with(&module, &rows, loss).unwrap());
    assert_eq!(module.bits(), before);
    let mut wrong = 0;
    let mut examples = 0;
    let mut sum = 0.0;
    let weights = [&module.first, &module.second].map(|p| p.value.to_vec().unwrap());
    for row in rows.batches(0, 0).map(Result::unwrap) {
        for (x, &label) in row.values.chunks(3).zip(&row.labels) {
            let hidden: Vec<f32> = weights[0].chunks(3).map(|w| dot(w, x).max(0.0)).collect();
            let logits: Vec<f32> = weights[1].chunks(5).map(|w| dot(w, &hidden)).collect();
            let normalizer = logits.iter().map(|z| f64::from(*z).exp()).sum::<f64>();
            sum -= f64::from(logits[label as usize]) - normalizer.ln();
            wrong += usize::from(logits[1 - label as usize] > logits[label as usize]);
            examples += 1;
        }
    }
    assert_eq!((sums.examples, sums.mean(WRONG)), (examples, Some(wrong as f64 / examples as f64)));
    assert!((sums.mean_loss() - sum / examples as f64).abs() < 1e-5, "{} for {sum}", sums.mean_loss());
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn events_come_in_their_order_and_a_break_ends_at_once() {
    let mut names = Vec::new();
    let mut watch = on_event(|event: Event<'_>, learner: &mut SmallLearner| {
        let name = match event {
            Event::StepBegins => "begins",
            Event::Step(_) => "step",
            Event::StepEnds => "ends",
            Event::EpochEnds(_) => "epoch-ends",
            Event::Epoch(_) => "epoch",
            _ => "other",
        };
        names.push((name, learner.progress().epoch, learner.progress().batch));
    });
    let mut small = learner(false, 2);
    let ended = small.fit(&Rows { batches: 2 }, loss, &mut [&mut watch, &mut stop_after(3)]).unwrap();
    assert_eq!(ended, Ended::Stopped { reason: "step 3".into() });
    let first = [
        ("begins", 0, 0),
        ("step", 0, 1),
        ("ends", 0, 1),
        ("begins", 0, 1),
        ("step", 0, 2),
        ("ends", 0, 2),
        ("epoch-ends", 0, 2),
        ("epoch", 1, 0),
        ("begins", 1, 0),
        ("step", 1, 1),
        ("ends", 1, 1),
    ];
    assert_eq!(names, first);
    // The same learner goes on.
    assert_eq!(small.fit(&Rows { batches: 2 }, loss, &mut []).unwrap(), Ended::Finished);
    assert_eq!(small.progress().step, 4);
}

/// A training stopped at the end of an epoch's batches has this event again, with the same sums.
#[test]
fn the_end_of_an_epoch_comes_again_after_a_break_there() {
    let mut small = learner(true, 2);
    let mut sums = Vec::new();
    let mut once = on_event(|event: Event<'_>, _: &mut SmallLearner| match event {
        Event::EpochEnds(report) if sums.is_empty() => {
            sums.push(report.clone());
            ControlFlow::Break("here".to_string())
        }
        Event::EpochEnds(report) => {
            sums.push(report.clone());
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    });
    let rows = Rows { batches: 3 };
    assert_eq!(small.fit(&rows, loss, &mut [&mut once]).unwrap().reason(), Some("here"));
    let checkpoint = small.checkpoint().unwrap();
    let mut resumed = learner(true, 2);
    resumed.restore(&checkpoint).unwrap();
    assert_eq!(resumed.progress().batch, 3);
    resumed.fit(&rows, loss, &mut [&mut once]).unwrap();
    assert_eq!((sums.len(), resumed.progress().step), (3, 6));
    assert_eq!(sums[0], sums[1]);
    let mut whole = learner(true, 2);
    whole.fit(&rows, loss, &mut []).unwrap();
    assert_eq!(resumed.module.bits(), whole.module.bits());
}

#[test]
fn a_callback_may_fail_and_change_the_module() {
    let mut fails = on_event(|event: Event<'_>, _: &mut SmallLearner| -> Result<()> {
        match event {
            Event::Epoch(_) => Err(Error::other("the disk of the log is full")),
            _ => Ok(()),
        }
    });
    let mut small = learner(false, 2);
    let error = small.fit(&Rows { batches: 2 }, loss, &mut [&mut fails]).unwrap_err();
    assert!(matches!(error, Error::Other(_)) && error.to_string() == "the disk of the log is full", "{error}");
    assert_eq!(small.progress().step, 2);
    let mut zero = on_event(|_: Event<'_>, learner: &mut SmallLearner| learner.module = Small::new(8));
    small.fit(&Rows { batches: 2 }, loss, &mut [&mut zero]).unwrap();
    assert_eq!(small.module.bits(), Small::new(8).bits());
}

#[test]
fn a_loss_that_is_not_finite_ends_the_training_before_its_update() {
    let mut small = learner(false, 1);
    let poisoned = |module: &Small<OnCpu>, mut row: Row, pass: &mut Pass<OnCpu>| {
        if row.number == 2 {
            row.values[0] = f32::NAN;
        }
        loss(module, row, pass)
    };
    let error = small.fit(&Rows { batches: 4 }, poisoned, &mut []).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 3, .. }), "{error}");
    assert_eq!(small.progress().step, 2);
    let mut clean = learner(false, 1);
    clean.fit(&Rows { batches: 4 }, loss, &mut [&mut stop_after(2)]).unwrap();
    assert_eq!(small.module.bits(), clean.module.bits());
}

#[test]
fn sources_without_batches_and_unrecorded_values_are_errors() {
    let error = learner(false, 1).fit(&Rows { batches: 0 }, loss, &mut []).unwrap_err().to_string();
    assert!(error.starts_with("batches: there are none"), "{error}");
    let mut early = EarlyStopping::new("validation", 1);
    let error = learner(false, 1).fit(&Rows { batches: 1 }, loss, &mut [&mut early]).unwrap_err().to_string();
    assert!(error.contains("\"validation\""), "{error}");
}
