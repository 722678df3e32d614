//! Rules and schedules that this crate does not know.

use alexnet_optim::{
    Error, Group, LearningRate, Observed, Optimizer, ParameterStep, Schedule, ScheduleState, State, Update, UpdateRule,
    Warmup,
};
use proptest::prelude::*;
use tensor::{Backend, Cpu, Tensor};

use crate::common::{assert_close, step, vector};

/// Averaged gradients, with a rate that falls with the number of updates: w <- w - lr / t * sum of gradients / t.
#[derive(Debug)]
struct Averaged;

impl<B: Backend> UpdateRule<B> for Averaged {
    fn name(&self) -> &str {
        "averaged"
    }

    fn state(&self) -> &[&str] {
        &["averaged.sum"]
    }

    fn count(&self) -> Option<&str> {
        Some("averaged.t")
    }

    fn update(&self, p: ParameterStep<'_, B>) -> tensor::Result<()> {
        p.state[0].add_scaled(1.0, p.gradient)?;
        let t = p.count as f64;
        p.value.add_scaled(-p.rate / t / t, &p.state[0])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// An own rule has the formula's steps, and goes on from a saved state with the same bits.
    #[test]
    fn an_own_rule_is_resumed(
        gradients in proptest::collection::vec(proptest::array::uniform2(-1.0..1.0), 1..20),
        stop in 0usize..20,
    ) {
        let mut optimizer = Optimizer::new(Averaged).unwrap();
        let mut w = vector(&[1.0, 2.0]);
        let mut plain = [1.0, 2.0];
        let mut sum = [0.0; 2];
        for (i, g) in gradients.iter().enumerate() {
            if i == stop {
                let state = optimizer.state().unwrap();
                optimizer = Optimizer::new(Averaged).unwrap();
                optimizer.load_state(state).unwrap();
            }
            step(&mut optimizer, 0.5, &mut w, g).unwrap();
            let t = (i + 1) as f64;
            for k in 0..2 {
                sum[k] += g[k];
                plain[k] -= 0.5 / t / t * sum[k];
            }
        }
        assert_close(&w.to_vec().unwrap(), &plain, 1e-12);
        prop_assert_eq!(optimizer.rule().name(), "averaged");
    }
}

/// A rule without any state, which counts.
#[derive(Debug)]
struct Counting(&'static [&'static str], Option<&'static str>);

impl UpdateRule<Cpu<f64>> for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn state(&self) -> &[&str] {
        self.0
    }

    fn count(&self) -> Option<&str> {
        self.1
    }

    fn update(&self, p: ParameterStep<'_, Cpu<f64>>) -> tensor::Result<()> {
        *p.value = Tensor::full(p.value.device(), p.value.shape(), p.count as f64)?;
        Ok(())
    }
}

#[test]
fn a_count_alone_is_state() {
    let mut optimizer = Optimizer::new(Counting(&[], Some("t"))).unwrap();
    let mut w = vector(&[0.0]);
    (0..3).for_each(|_| step(&mut optimizer, 0.1, &mut w, &[0.0]).unwrap());
    let state = optimizer.state().unwrap();
    assert_eq!((state.tensors.len(), state.tensors[0].0.as_str()), (1, "t/w"));
    let mut resumed = Optimizer::new(Counting(&[], Some("t"))).unwrap();
    resumed.load_state(state).unwrap();
    step(&mut resumed, 0.1, &mut w, &[0.0]).unwrap();
    assert_eq!(w.to_vec().unwrap(), [4.0]);

    let mut without = Optimizer::new(Counting(&[], None)).unwrap();
    step(&mut without, 0.1, &mut w, &[0.0]).unwrap();
    assert!(without.state().unwrap().tensors.is_empty());
    let tensors = vec![("t/w".to_string(), vector(&[1.0]))];
    let error = without.load_state(State { steps: 1, tensors }).unwrap_err();
    assert!(error.to_string().contains("keeps only tensors of no name"), "{error}");
}

#[test]
fn names_of_state_that_cannot_be_told_apart() {
    for (state, count) in [(&["a/b"][..], None), (&["a", "a"], None), (&["a"], Some("a")), (&[""], None)] {
        let error = Optimizer::new(Counting(state, count)).unwrap_err();
        assert!(matches!(&error, Error::Setting { setting, .. } if setting.contains("`counting`")), "{error}");
        let group = Group::new(|_| true).rule(Counting(state, count));
        assert!(Optimizer::new(Averaged).unwrap().with_group(group).is_err());
    }
}

/// Tensors in one launch must not depend on the order in which they are given.
#[test]
fn parameters_are_updated_in_the_order_of_their_names() {
    let mut optimizer = Optimizer::new(Averaged).unwrap();
    let mut a = vector(&[1.0]);
    let mut b = vector(&[2.0]);
    let gradient = vector(&[1.0]);
    let updates = vec![Update::new("b", &mut b, &gradient), Update::new("a", &mut a, &gradient)];
    optimizer.step(0.5, updates).unwrap();
    assert_eq!((a.to_vec().unwrap(), b.to_vec().unwrap()), (vec![0.5], vec![1.5]));
}

/// Halved whenever the validation error rises.
struct Cautious;

impl LearningRate for Cautious {
    fn rate(&self, base: f64, _epoch: f64, state: &ScheduleState) -> f64 {
        base * 0.5f64.powf(state.values.get("rises").copied().unwrap_or(0.0))
    }

    fn observe(&self, error: f64, state: &mut ScheduleState) -> Observed {
        let last = state.values.insert("last".into(), error);
        if last.is_none_or(|last| error <= last) {
            return Observed::Improved;
        }
        *state.values.entry("rises".into()).or_default() += 1.0;
        Observed::Dropped
    }
}

proptest! {
    #[test]
    fn an_own_schedule_is_resumed(errors in proptest::collection::vec(0.0..1.0f64, 0..20), stop in 0usize..20) {
        let make = || Schedule::new(Warmup { epochs: 2.0, start: 0.5, then: Cautious }).unwrap();
        let mut schedule = make();
        for (i, error) in errors.iter().enumerate() {
            if i == stop {
                let state = schedule.state().clone();
                schedule = make();
                schedule.load_state(state).unwrap();
            }
            schedule.observe(*error);
        }
        let rises = errors.windows(2).filter(|pair| pair[1] > pair[0]).count();
        prop_assert_eq!(schedule.rate(1.0, 2.0), 0.5f64.powi(rises as i32));
        prop_assert_eq!(schedule.rate(1.0, 0.0), 0.5f64.powi(rises as i32 + 1));
    }
}
