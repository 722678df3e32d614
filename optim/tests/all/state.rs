//! State out and in.

use alexnet_optim::{Adam, AdamW, Error, Lars, Optimizer, RmsProp, Rule, Sgd, State, Update};
use proptest::prelude::*;
use tensor::{Cpu, Tensor};

use crate::common::{step, vector};

type Tensors = Vec<(String, Tensor<Cpu<f64>>)>;

/// Steps `from..to` on two parameters, of which the second joins at step 3.
fn train(optimizer: &mut Optimizer<Cpu<f64>>, weights: &mut [Tensor<Cpu<f64>>; 2], from: usize, to: usize) {
    for t in from..to {
        let gradients: Vec<_> = weights.iter().map(|w| w.mul_add_scalar(0.7, (t as f64).sin()).unwrap()).collect();
        let joined = if t >= 3 { 2 } else { 1 };
        let updates = ["conv1.weight", "conv1.bias"]
            .into_iter()
            .zip(weights.iter_mut())
            .zip(&gradients)
            .map(|((name, value), gradient)| Update::new(name, value, gradient));
        optimizer.step(0.05, updates.take(joined).collect()).unwrap();
    }
}

fn rules() -> [Rule; 9] {
    let rmsprop = RmsProp { weight_decay: 1e-3, ..RmsProp::default() };
    [
        AdamW::default().into(),
        rmsprop.into(),
        RmsProp { momentum: 0.5, ..rmsprop }.into(),
        RmsProp { centered: true, ..rmsprop }.into(),
        RmsProp { momentum: 0.5, centered: true, ..rmsprop }.into(),
        Lars::default().into(),
        Sgd::default().into(),
        Sgd { nesterov: true, ..Sgd::default() }.into(),
        Adam { weight_decay: 1e-3, ..Adam::default() }.into(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_resumed_optimizer_goes_on_with_the_same_bits(stop in 0usize..20, more in 0usize..20, rule in 0usize..9) {
        let rule = rules()[rule];
        let start = || [vector(&[0.5, -1.0, 2.0]), vector(&[0.1])];
        let mut whole = Optimizer::new(rule).unwrap();
        let mut weights = start();
        train(&mut whole, &mut weights, 0, stop + more);

        let mut first = Optimizer::new(rule).unwrap();
        let mut stopped = start();
        train(&mut first, &mut stopped, 0, stop);
        let mut second = Optimizer::new(rule).unwrap();
        second.load_state(first.state().unwrap()).unwrap();
        prop_assert_eq!(second.steps(), stop as u64);
        train(&mut second, &mut stopped, stop, stop + more);
        for (a, b) in weights.iter().zip(&stopped) {
            prop_assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap());
        }
    }
}

fn names(tensors: &Tensors) -> Vec<&str> {
    tensors.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn state_is_named_tensors_in_order() {
    let mut weights = [vector(&[0.5, -1.0]), vector(&[0.1])];
    let mut sgd = Optimizer::new(Sgd::default()).unwrap();
    train(&mut sgd, &mut weights, 0, 4);
    let state = sgd.state().unwrap();
    assert_eq!(names(&state.tensors), ["momentum/conv1.bias", "momentum/conv1.weight"]);
    assert_eq!(state.tensors[1].1.shape(), [2]);

    let mut adam = Optimizer::new(Adam::default()).unwrap();
    train(&mut adam, &mut weights, 0, 4);
    let state = adam.state().unwrap();
    let conv1 = |kind: &str| [format!("adam.{kind}/conv1.bias"), format!("adam.{kind}/conv1.weight")];
    assert_eq!(names(&state.tensors), [conv1("m"), conv1("t"), conv1("v")].concat());
    assert_eq!(state.tensors[2].1.to_vec().unwrap(), [1.0], "the bias joined at the last step");
    assert_eq!(state.tensors[3].1.to_vec().unwrap(), [4.0]);
}

#[test]
fn names_of_state_by_rule() {
    let names = |rule: Rule| {
        let mut weights = [vector(&[0.5, -1.0]), vector(&[0.1])];
        let mut optimizer = Optimizer::new(rule).unwrap();
        train(&mut optimizer, &mut weights, 0, 1);
        let tensors = optimizer.state().unwrap().tensors;
        tensors.iter().map(|(name, _)| name.trim_end_matches("/conv1.weight").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(AdamW::default().into()), ["adamw.m", "adamw.t", "adamw.v"]);
    assert_eq!(names(Lars::default().into()), ["lars.momentum"]);
    assert_eq!(names(RmsProp::default().into()), ["rmsprop.v"]);
    let all = RmsProp { momentum: 0.9, centered: true, ..RmsProp::default() };
    assert_eq!(names(all.into()), ["rmsprop.b", "rmsprop.m", "rmsprop.v"]);
}

#[test]
fn state_taken_out_does_not_change_with_later_steps() {
    let mut weights = [vector(&[0.5, -1.0]), vector(&[0.1])];
    let mut sgd = Optimizer::new(Sgd::default()).unwrap();
    train(&mut sgd, &mut weights, 0, 4);
    let state = sgd.state().unwrap();
    let before = state.tensors[1].1.to_vec().unwrap();
    train(&mut sgd, &mut weights, 4, 8);
    assert_eq!(state.tensors[1].1.to_vec().unwrap(), before);
}

#[track_caller]
fn refused(rule: Rule, tensors: &[(&str, &[f64])], expected: &str) {
    let mut optimizer = Optimizer::new(rule).unwrap();
    let tensors = tensors.iter().map(|(name, values)| (name.to_string(), vector(values))).collect();
    let error = optimizer.load_state(State { steps: 5, tensors }).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(optimizer.steps(), 0, "nothing is changed");
}

#[test]
fn state_of_another_kind_is_refused() {
    let sgd = Sgd::default().into();
    let adam = Adam::default().into();
    refused(sgd, &[("adam.m/a", &[1.0])], "`adam.m/a`: optimizer `sgd` keeps only tensors named momentum/");
    refused(adam, &[("momentum/a", &[1.0])], "`momentum/a`: optimizer `adam` keeps only");
    refused(sgd, &[("momentum/a", &[1.0]), ("momentum/a", &[1.0])], "`momentum/a`: occurs twice");
    refused(adam, &[("adam.m/a", &[1.0]), ("adam.t/a", &[1.0])], "`adam.v/a`: missing");
    let with_count = |t| [("adam.m/a", &[1.0][..]), ("adam.v/a", &[1.0][..]), ("adam.t/a", t)];
    refused(adam, &with_count(&[0.5]), "`adam.t/a`: expected a whole number");
    refused(adam, &with_count(&[f64::NAN]), "`adam.t/a`: expected a whole number");
    refused(adam, &with_count(&[-3.0]), "`adam.t/a`: expected a whole number");
}

#[test]
fn state_of_another_shape_is_refused_at_the_step() {
    let mut sgd = Optimizer::new(Sgd::default()).unwrap();
    sgd.load_state(State { steps: 1, tensors: vec![("momentum/w".into(), vector(&[0.0; 3]))] }).unwrap();
    let mut w = vector(&[1.0, 2.0]);
    let error = step(&mut sgd, 0.1, &mut w, &[1.0, 1.0]).unwrap_err();
    assert_eq!(error.to_string(), "parameter `w` has shape [2], but its momentum has shape [3]");
    assert_eq!((w.to_vec().unwrap(), sgd.steps()), (vec![1.0, 2.0], 1));
}

#[test]
fn bad_updates_are_found_before_anything_changes() {
    let mut sgd = Optimizer::new(Sgd::default()).unwrap();
    let mut a = vector(&[1.0]);
    let mut b = vector(&[1.0, 2.0]);
    let gradient = vector(&[1.0]);
    let updates = vec![Update::new("a", &mut a, &gradient), Update::new("b", &mut b, &gradient)];
    let error = sgd.step(0.1, updates).unwrap_err();
    assert_eq!(error.to_string(), "parameter `b` has shape [2], but its gradient has shape [1]");
    assert_eq!((a.to_vec().unwrap(), sgd.steps()), (vec![1.0], 0));

    let mut c = vector(&[1.0]);
    let mut d = vector(&[1.0]);
    let updates = [&mut c, &mut d].map(|value| Update::new("c", value, &gradient));
    assert!(matches!(sgd.step(0.1, updates.into()), Err(Error::Duplicate { parameter }) if parameter == "c"));
}
