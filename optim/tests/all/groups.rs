//! Groups of parameters: multipliers and rules of their own.

use alexnet_optim::{Adam, Error, Group, Lars, Optimizer, Sgd, State, Update};
use proptest::prelude::*;
use tensor::{Cpu, Tensor};

use crate::common::vector;

type OnCpu = Cpu<f64>;

const NAMES: [&str; 3] = ["conv1.bias", "conv1.weight", "fc8.bias"];

fn start() -> [Tensor<OnCpu>; 3] {
    [vector(&[0.1, 0.2]), vector(&[1.0, -2.0, 0.5]), vector(&[-0.3])]
}

/// Step number `t` of all parameters, whose gradients depend on them.
fn step(optimizer: &mut Optimizer<OnCpu>, weights: &mut [Tensor<OnCpu>; 3], multipliers: [(f64, f64); 3], t: usize) {
    let gradients = weights.each_ref().map(|w| w.mul_add_scalar(0.7, (t as f64).sin()).unwrap());
    let updates = NAMES.iter().zip(weights.iter_mut()).zip(&gradients).zip(multipliers).map(
        |(((name, value), gradient), (lr_mult, decay_mult))| Update { name, value, gradient, lr_mult, decay_mult },
    );
    optimizer.step(0.05, updates.collect()).unwrap();
}

fn values(weights: &[Tensor<OnCpu>]) -> Vec<Vec<f64>> {
    weights.iter().map(|w| w.to_vec().unwrap()).collect()
}

fn biases() -> Group<OnCpu> {
    Group::new(|name| name.ends_with(".bias"))
}

fn sgd() -> Optimizer<OnCpu> {
    Optimizer::new(Sgd { weight_decay: 0.1, ..Sgd::default() }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Multipliers of a group multiply those of its parameters.
    #[test]
    fn multipliers(lr in 0.0..3.0f64, decay in 0.0..3.0f64, own_lr in 0.0..3.0f64, own_decay in 0.0..3.0f64) {
        let mut grouped = sgd().with_group(biases().lr_mult(lr).decay_mult(decay)).unwrap();
        let mut plain = sgd();
        let mut a = start();
        let mut b = start();
        for t in 0..10 {
            step(&mut grouped, &mut a, [(own_lr, own_decay); 3], t);
            let both = (own_lr * lr, own_decay * decay);
            step(&mut plain, &mut b, [both, (own_lr, own_decay), both], t);
        }
        prop_assert_eq!(values(&a), values(&b));
    }

    /// Each group has the steps of an optimizer of its own, also after its state was saved and restored at any step.
    #[test]
    fn rules(stop in 0usize..12) {
        let make = || {
            let head = Group::new(|name| name.starts_with("fc8.")).rule(Lars::default());
            Optimizer::new(Sgd::default()).unwrap().with_group(head).unwrap().with_group(biases().rule(Adam::default())).unwrap()
        };
        let mut grouped = make();
        let mut a = start();
        for t in 0..12 {
            if t == stop {
                let state = grouped.state().unwrap();
                grouped = make();
                grouped.load_state(state).unwrap();
            }
            step(&mut grouped, &mut a, [(1.0, 1.0); 3], t);
        }
        let mut alone = [
            Optimizer::new(Adam::default()).unwrap(),
            Optimizer::new(Sgd::default()).unwrap(),
            Optimizer::new(Lars::default()).unwrap(),
        ];
        for (i, optimizer) in alone.iter_mut().enumerate() {
            let mut b = start();
            let only = [0, 1, 2].map(|j| if i == j { (1.0, 1.0) } else { (0.0, 0.0) });
            (0..12).for_each(|t| step(optimizer, &mut b, only, t));
            prop_assert_eq!(values(&a[i..=i]), values(&b[i..=i]));
        }
    }
}

#[test]
fn names_of_state_are_those_of_the_groups_rules() {
    let mut grouped = sgd().with_group(biases().rule(Adam::default())).unwrap();
    step(&mut grouped, &mut start(), [(1.0, 1.0); 3], 0);
    let names: Vec<_> = grouped.state().unwrap().tensors.into_iter().map(|(name, _)| name).collect();
    let adam = |kind: &str| ["conv1", "fc8"].map(|layer| format!("adam.{kind}/{layer}.bias"));
    let expected: Vec<_> = [adam("m"), adam("t"), adam("v")].into_iter().flatten().collect();
    assert_eq!(names, [expected, vec!["momentum/conv1.weight".into()]].concat());
    let of_another = State { steps: 1, tensors: vec![("momentum/conv1.bias".into(), vector(&[1.0, 1.0]))] };
    let error = grouped.load_state(of_another).unwrap_err();
    assert!(error.to_string().contains("optimizer `adam` keeps only tensors named adam.m/"), "{error}");
}

#[test]
fn a_group_can_be_frozen() {
    let mut grouped = sgd().with_group(biases().lr_mult(0.0)).unwrap();
    let mut weights = start();
    step(&mut grouped, &mut weights, [(1.0, 1.0); 3], 0);
    let [before, after] = [values(&start()), values(&weights)];
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_ne!(after[1], before[1]);
    assert_eq!(grouped.state().unwrap().tensors.len(), 1);
}

/// A group added late must not leave its rule with the state of another.
#[test]
fn a_group_added_after_a_step() {
    let mut grouped = sgd();
    let mut weights = start();
    grouped.preallocate(NAMES.into_iter().zip(&weights)).unwrap();
    step(&mut grouped, &mut weights, [(1.0, 1.0); 3], 0);
    let mut grouped = grouped.with_group(biases().rule(Adam::default())).unwrap();
    step(&mut grouped, &mut weights, [(1.0, 1.0); 3], 1);
    assert_eq!(grouped.state().unwrap().tensors.len(), 3 + 3 + 1);
}

#[test]
fn settings_out_of_range() {
    let refused = |group| sgd().with_group(group).unwrap_err().to_string();
    assert_eq!(refused(biases().lr_mult(-1.0)), "lr_mult of a group must be a finite number of at least 0, got -1");
    let decay = refused(biases().decay_mult(f64::NAN));
    assert_eq!(decay, "decay_mult of a group must be a finite number of at least 0, got NaN");
    let adam = sgd().with_group(biases().rule(Adam { beta1: 2.0, ..Adam::default() }));
    assert!(matches!(adam, Err(Error::Setting { setting, .. }) if setting == "beta1"));
}
