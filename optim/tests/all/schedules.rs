//! Learning rates over epochs, and how validation errors change them.

use alexnet_optim::{LearningRate, Observed, Schedule, ScheduleRule, ScheduleState, Warmup};
use proptest::prelude::*;

#[track_caller]
fn table(rule: ScheduleRule, base: f64, expected: &[(f64, f64)]) {
    let schedule = Schedule::new(rule).unwrap();
    for &(epoch, rate) in expected {
        let got = schedule.rate(base, epoch);
        assert!((got - rate).abs() <= 1e-12 * rate.abs(), "epoch {epoch}: got {got}, expected {rate}");
    }
}

#[test]
fn constant() {
    table(ScheduleRule::Constant, 0.01, &[(0.0, 0.01), (0.5, 0.01), (1e6, 0.01)]);
}

/// The authors' run #145.
#[test]
fn steps() {
    let rule = ScheduleRule::Steps { drop_epochs: vec![25.0, 51.0, 79.0], factor: 0.1 };
    let rates = [(0.0, 0.01), (24.999, 0.01), (25.0, 1e-3), (50.9, 1e-3), (51.0, 1e-4), (79.0, 1e-5), (1e3, 1e-5)];
    table(rule.clone(), 0.01, &rates);
    let exact = Schedule::new(rule).unwrap();
    assert_eq!(
        [25.0, 51.0, 79.0].map(|e| exact.rate(0.01, e)),
        [1e-3, 1e-4, 1e-5],
        "dividing by 10 leaves no rounding error"
    );
}

#[test]
fn exponential() {
    let rates = [(0.0, 0.1), (1.0, 0.09), (2.0, 0.081), (0.5, 0.1 * 0.9f64.sqrt())];
    table(ScheduleRule::Exponential { gamma: 0.9 }, 0.1, &rates);
}

#[test]
fn polynomial() {
    let linear = ScheduleRule::Polynomial { epochs: 10.0, power: 1.0, end: 0.1 };
    table(linear, 1.0, &[(0.0, 1.0), (5.0, 0.55), (10.0, 0.1), (20.0, 0.1)]);
    let square = ScheduleRule::Polynomial { epochs: 10.0, power: 2.0, end: 0.0 };
    table(square, 0.5, &[(0.0, 0.5), (5.0, 0.125), (10.0, 0.0), (11.0, 0.0)]);
}

/// PyTorch's CosineAnnealingLR: eta_min + (base - eta_min) (1 + cos(pi t / T)) / 2.
#[test]
fn cosine() {
    let rule = ScheduleRule::Cosine { epochs: 8.0, end: 0.2 };
    let quarter = 0.2 + 0.8 * (1.0 + 0.5f64.sqrt()) / 2.0;
    table(rule, 0.5, &[(0.0, 0.5), (2.0, 0.5 * quarter), (4.0, 0.3), (8.0, 0.1), (9.0, 0.1)]);
}

/// PyTorch's OneCycleLR(max_lr=0.5, pct_start=0.25, div_factor=10, final_div_factor=10).
#[test]
fn one_cycle() {
    let rule = ScheduleRule::OneCycle { epochs: 8.0, rise: 0.25, start: 0.1, end: 0.01 };
    table(rule, 0.5, &[(0.0, 0.05), (1.0, 0.275), (2.0, 0.5), (5.0, 0.2525), (8.0, 0.005), (80.0, 0.005)]);
    let defaults = [(0.0, 0.04), (3.0, 1.0), (10.0, 4e-6)];
    table(ScheduleRule::one_cycle(10.0), 1.0, &defaults);
}

fn warm(epochs: f64, start: f64, then: ScheduleRule) -> ScheduleRule {
    ScheduleRule::Warmup { epochs, start, then: Box::new(then) }
}

#[test]
fn warmup() {
    table(warm(4.0, 0.2, ScheduleRule::Constant), 0.5, &[(0.0, 0.1), (2.0, 0.3), (4.0, 0.5), (100.0, 0.5)]);
    let steps = ScheduleRule::Steps { drop_epochs: vec![2.0, 6.0], factor: 0.1 };
    table(warm(4.0, 0.0, steps), 1.0, &[(0.0, 0.0), (1.0, 0.25), (2.0, 0.05), (4.0, 0.1), (6.0, 0.01)]);
}

/// A plateau after a warm-up drops and ends as it does without.
#[test]
fn warmup_of_a_plateau() {
    let rule = ScheduleRule::Plateau { factor: 0.1, patience: 1, threshold: 0.0, max_drops: 1 };
    let mut schedule = Schedule::new(warm(10.0, 0.0, rule)).unwrap();
    assert_eq!([0.5, 0.5].map(|error| schedule.observe(error)), [Observed::Improved, Observed::Dropped]);
    assert_eq!([5.0, 10.0].map(|epoch| schedule.rate(1.0, epoch)), [0.05, 0.1]);
    assert_eq!(schedule.observe(0.5), Observed::Finished);
    let mut resumed = schedule.clone();
    resumed.load_state(schedule.state().clone()).unwrap();
    assert!(resumed.finished());
}

proptest! {
    /// Cosine and polynomial only fall; one-cycle rises to the base rate, then falls; warm-up never exceeds the schedule
    /// that it wraps, and equals it afterwards. All are continuous and stay between their ends.
    #[test]
    fn shapes_of_schedules(epochs in 0.5..100.0f64, end in 0.0..1.0f64, start in 0.0..1.0f64, rise in 0.01..1.0f64) {
        let cosine = ScheduleRule::Cosine { epochs, end };
        let falling = [cosine.clone(), ScheduleRule::Polynomial { epochs, power: 2.0, end }];
        let samples: Vec<f64> = (0..=220).map(|i| epochs * f64::from(i) / 200.0).collect();
        let rates = |rule: &ScheduleRule| -> Vec<f64> {
            let schedule = Schedule::new(rule.clone()).unwrap();
            samples.iter().map(|&epoch| schedule.rate(1.0, epoch)).collect()
        };
        for rule in &falling {
            let rates = rates(rule);
            prop_assert!(rates.windows(2).all(|pair| pair[1] <= pair[0] && pair[0] - pair[1] < 0.02));
            prop_assert!((rates[200] - end).abs() < 1e-12);
            prop_assert_eq!((rates[0], rates[220]), (1.0, end));
        }
        let cycle = rates(&ScheduleRule::OneCycle { epochs, rise, start, end });
        let top = (200.0 * rise).ceil() as usize;
        prop_assert!(cycle[..top].windows(2).all(|pair| pair[0] <= pair[1]));
        prop_assert!(cycle[top..].windows(2).all(|pair| pair[0] >= pair[1]));
        prop_assert!((cycle[0] - start).abs() < 1e-12 && cycle[220] == end);
        prop_assert!(cycle.iter().all(|&rate| rate >= start.min(end) - 1e-12 && rate <= 1.0));
        let warmed = rates(&warm(epochs / 2.0, start, cosine.clone()));
        let plain = rates(&cosine);
        prop_assert!(warmed.iter().zip(&plain).all(|(a, b)| a <= b));
        prop_assert_eq!(&warmed[101..], &plain[101..]);
        prop_assert!((warmed[0] - start).abs() < 1e-12);
        let own = Warmup { epochs: epochs / 2.0, start, then: cosine };
        prop_assert_eq!(own.rate(1.0, samples[30], &ScheduleState::default()), warmed[30]);
    }
}

fn plateau(patience: u32, threshold: f64, max_drops: u32) -> Schedule {
    Schedule::new(ScheduleRule::Plateau { factor: 0.1, patience, threshold, max_drops }).unwrap()
}

/// Feeds errors to a schedule; returns the effect of each and the rate after it.
fn observe_all(schedule: &mut Schedule, errors: &[f64]) -> Vec<(Observed, f64)> {
    errors.iter().map(|&e| (schedule.observe(e), schedule.rate(0.01, 0.0))).collect()
}

#[test]
fn plateau_divides_three_times_and_then_finishes() {
    use Observed::{Dropped, Finished, Improved, Stale};
    let mut schedule = plateau(2, 0.0, 3);
    let errors = [0.9, 0.8, 0.8, 0.7, 0.7, 0.75, 0.7, 0.6, 0.6, 0.6, 0.6, 0.65, 0.61, 0.6];
    let rates = [
        (Improved, 0.01),
        (Improved, 0.01),
        (Stale, 0.01),
        (Improved, 0.01),
        (Stale, 0.01),
        (Dropped, 1e-3),
        (Stale, 1e-3),
        (Improved, 1e-3),
        (Stale, 1e-3),
        (Dropped, 1e-4),
        (Stale, 1e-4),
        (Dropped, 1e-5),
        (Stale, 1e-5),
        (Finished, 1e-5),
    ];
    assert_eq!(observe_all(&mut schedule, &errors), rates);
    assert!(schedule.finished());
    assert_eq!(schedule.observe(0.1), Improved);
    assert!(schedule.finished(), "a finished schedule stays finished");
}

#[test]
fn an_improvement_exceeds_the_threshold() {
    use Observed::{Dropped, Improved, Stale};
    let mut schedule = plateau(3, 0.01, 3);
    let seen = observe_all(&mut schedule, &[0.5, 0.495, 0.491, 0.48, 0.475, 0.472, 0.4701]);
    let seen: Vec<_> = seen.into_iter().map(|(observed, _)| observed).collect();
    assert_eq!(seen, [Improved, Stale, Stale, Improved, Stale, Stale, Dropped]);
}

#[test]
fn nan_is_no_improvement() {
    use Observed::{Dropped, Finished, Improved, Stale};
    let mut schedule = plateau(2, 0.0, 1);
    let seen: Vec<_> = [f64::NAN, f64::INFINITY, 0.5, f64::NAN, f64::NAN].map(|e| schedule.observe(e)).into();
    assert_eq!(seen, [Stale, Dropped, Improved, Stale, Finished]);
}

#[test]
fn other_schedules_ignore_errors() {
    let mut schedule = Schedule::new(ScheduleRule::Constant).unwrap();
    assert_eq!(schedule.observe(0.5), Observed::Ignored);
    assert!(!schedule.finished());
    assert_eq!(schedule.state(), &ScheduleState::default());
}

#[cfg(feature = "serde")]
fn written_and_read(state: &ScheduleState) -> ScheduleState {
    let text = toml::to_string(state).unwrap();
    let json = serde_json::to_string(state).unwrap();
    let read: ScheduleState = toml::from_str(&text).unwrap();
    assert_eq!(&read, state);
    assert_eq!(&serde_json::from_str::<ScheduleState>(&json).unwrap(), state);
    read
}

#[cfg(not(feature = "serde"))]
fn written_and_read(state: &ScheduleState) -> ScheduleState {
    state.clone()
}

proptest! {
    #[test]
    fn a_resumed_schedule_has_the_same_rates(
        errors in proptest::collection::vec(0.0..1.0, 0..40),
        stop in 0usize..40,
        patience in 1u32..4,
        max_drops in 0u32..4,
    ) {
        let stop = stop.min(errors.len());
        let mut whole = plateau(patience, 0.01, max_drops);
        let seen = observe_all(&mut whole, &errors);

        let mut first = plateau(patience, 0.01, max_drops);
        observe_all(&mut first, &errors[..stop]);
        let mut second = plateau(patience, 0.01, max_drops);
        second.load_state(written_and_read(first.state())).unwrap();
        prop_assert_eq!(&observe_all(&mut second, &errors[stop..]), &seen[stop..]);
        prop_assert_eq!(second.state(), whole.state());
    }

    /// The rate never rises, never goes below base * factor^max_drops and ends there exactly when training may stop.
    #[test]
    fn plateau_only_falls(errors in proptest::collection::vec(0.0..1.0, 0..80), patience in 1u32..4) {
        let mut schedule = plateau(patience, 0.0, 3);
        let mut last = f64::INFINITY;
        for (_, rate) in observe_all(&mut schedule, &errors) {
            prop_assert!(rate <= last && rate >= 1e-5);
            last = rate;
        }
        prop_assert!(!schedule.finished() || last == 1e-5);
    }
}

#[track_caller]
fn refused(rule: ScheduleRule, expected: &str) {
    let error = Schedule::new(rule).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn settings_out_of_range() {
    let steps = |drop_epochs: &[f64], factor| ScheduleRule::Steps { drop_epochs: drop_epochs.to_vec(), factor };
    refused(steps(&[1.0], 0.0), "factor must be above 0 and at most 1, got 0");
    refused(steps(&[1.0], 2.0), "factor must be above 0 and at most 1, got 2");
    refused(steps(&[-1.0], 0.1), "drop_epochs must be a finite number of at least 0, got -1");
    refused(steps(&[5.0, 5.0], 0.1), "drop_epochs must be rising, got [5.0, 5.0]");
    refused(steps(&[f64::NAN], 0.1), "drop_epochs must be a finite number of at least 0, got NaN");
    refused(ScheduleRule::Exponential { gamma: -0.5 }, "gamma must be above 0 and at most 1, got -0.5");
    let polynomial = |epochs, power, end| ScheduleRule::Polynomial { epochs, power, end };
    refused(polynomial(0.0, 1.0, 0.0), "epochs must be a finite number above 0, got 0");
    refused(polynomial(1.0, f64::NAN, 0.0), "power must be a finite number above 0, got NaN");
    refused(polynomial(1.0, 1.0, 1.5), "end must be at least 0 and at most 1, got 1.5");
    let plateau = |patience, threshold| ScheduleRule::Plateau { factor: 0.1, patience, threshold, max_drops: 3 };
    refused(plateau(0, 0.0), "patience must be at least 1, got 0");
    refused(plateau(1, -1.0), "threshold must be a finite number of at least 0, got -1");
    let cosine = |epochs, end| ScheduleRule::Cosine { epochs, end };
    refused(cosine(0.0, 0.0), "epochs must be a finite number above 0, got 0");
    refused(cosine(1.0, -0.1), "end must be at least 0 and at most 1, got -0.1");
    let cycle = |epochs, rise, start, end| ScheduleRule::OneCycle { epochs, rise, start, end };
    refused(cycle(-1.0, 0.3, 0.0, 0.0), "epochs must be a finite number above 0, got -1");
    refused(cycle(1.0, 0.0, 0.0, 0.0), "rise must be above 0 and at most 1, got 0");
    refused(cycle(1.0, 0.3, 2.0, 0.0), "start must be at least 0 and at most 1, got 2");
    refused(cycle(1.0, 0.3, 0.0, f64::NAN), "end must be at least 0 and at most 1, got NaN");
    refused(warm(0.0, 0.1, ScheduleRule::Constant), "warm-up epochs must be a finite number above 0, got 0");
    refused(warm(1.0, 1.1, ScheduleRule::Constant), "warm-up start must be at least 0 and at most 1, got 1.1");
    refused(warm(1.0, 0.1, cosine(0.0, 0.0)), "epochs must be a finite number above 0, got 0");
    let own = Schedule::new(Warmup { epochs: -1.0, start: 0.0, then: |base: f64, _: f64| base });
    assert_eq!(own.unwrap_err().to_string(), "warm-up epochs must be a finite number above 0, got -1");
}

#[test]
fn state_of_another_schedule_is_refused() {
    let state = ScheduleState { drops: 2, ..ScheduleState::default() };
    let error = plateau(1, 0.0, 1).load_state(state.clone()).unwrap_err();
    assert!(error.to_string().contains("at most 1 in this schedule, got 2"), "{error}");
    let error = Schedule::new(ScheduleRule::Constant).unwrap().load_state(state).unwrap_err();
    assert!(error.to_string().contains("at most 0 in this schedule, got 2"), "{error}");
}

#[cfg(feature = "serde")]
#[test]
fn rules_are_text() {
    let text = "schedule = \"warmup\"\nepochs = 5.0\n[then]\nschedule = \"cosine\"\nepochs = 90.0";
    let then = ScheduleRule::Cosine { epochs: 90.0, end: 0.0 };
    assert_eq!(toml::from_str::<ScheduleRule>(text).unwrap(), warm(5.0, 0.1, then));
    let cycle: ScheduleRule = toml::from_str("schedule = \"onecycle\"\nepochs = 10.0").unwrap();
    assert_eq!(cycle, ScheduleRule::one_cycle(10.0));
    let rule: ScheduleRule = toml::from_str("schedule = \"plateau\"\npatience = 2").unwrap();
    assert_eq!(rule, ScheduleRule::Plateau { factor: 0.1, patience: 2, threshold: 0.0, max_drops: 3 });
    let rule: ScheduleRule = toml::from_str("schedule = \"steps\"\ndrop_epochs = [25.0, 51.0]").unwrap();
    assert_eq!(rule, ScheduleRule::Steps { drop_epochs: vec![25.0, 51.0], factor: 0.1 });
    let error = toml::from_str::<ScheduleRule>("schedule = \"steps\"\nstep = 1").unwrap_err();
    assert!(error.message().contains("unknown field `step`"), "{error}");
}
