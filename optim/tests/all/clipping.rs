//! Clipping of gradients: the same step as with gradients that were clipped beforehand.

use alexnet_optim::{Adam, Clipping, Error, Group, Optimizer, Sgd, Update};
use proptest::prelude::*;
use tensor::{Cpu, Tensor};

use crate::common::{assert_close, vector};

type Weights = [Tensor<Cpu<f64>>; 2];

const NAMES: [&str; 2] = ["a", "b"];

fn start() -> Weights {
    [vector(&[1.0, -2.0, 0.5]), vector(&[0.25, 3.0])]
}

/// One step of both parameters.
fn step(optimizer: &mut Optimizer<Cpu<f64>>, weights: &mut Weights, gradients: &[Vec<f64>; 2]) -> Result<(), Error> {
    let gradients = gradients.each_ref().map(|gradient| vector(gradient));
    let updates = NAMES.into_iter().zip(weights.iter_mut()).zip(&gradients);
    optimizer.step(0.1, updates.map(|((name, value), gradient)| Update::new(name, value, gradient)).collect())
}

fn values(weights: &Weights) -> Vec<f64> {
    weights.iter().flat_map(|w| w.to_vec().unwrap()).collect()
}

fn norm(gradients: &[Vec<f64>; 2]) -> f64 {
    gradients.iter().flatten().map(|g| g * g).sum::<f64>().sqrt()
}

fn gradients() -> impl Strategy<Value = [Vec<f64>; 2]> {
    (proptest::array::uniform3(-5.0..5.0), proptest::array::uniform2(-5.0..5.0)).prop_map(|(a, b)| [a.into(), b.into()])
}

fn adam() -> Optimizer<Cpu<f64>> {
    Optimizer::new(Adam { weight_decay: 0.1, ..Adam::default() }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// torch.nn.utils.clip_grad_norm_, without its epsilon of 1e-6.
    #[test]
    fn by_the_global_norm(steps in proptest::collection::vec(gradients(), 1..10), limit in 0.1..20.0f64) {
        let mut clipped = adam().with_clipping(Clipping::GlobalNorm(limit)).unwrap();
        let mut plain = adam();
        let mut a = start();
        let mut b = start();
        for gradients in &steps {
            step(&mut clipped, &mut a, gradients).unwrap();
            let norm = norm(gradients);
            let factor = (limit / norm).min(1.0);
            let scaled = gradients.each_ref().map(|gradient| gradient.iter().map(|g| factor * g).collect::<Vec<_>>());
            step(&mut plain, &mut b, &scaled).unwrap();
            assert_close(&values(&a), &values(&b), 1e-9);
            prop_assert!((clipped.gradient_norm().unwrap() - norm).abs() < 1e-12 * norm);
        }
        prop_assert_eq!(plain.gradient_norm(), None);
    }

    #[test]
    fn by_value(steps in proptest::collection::vec(gradients(), 1..10), limit in 0.1..6.0f64) {
        let mut clipped = adam().with_clipping(Clipping::Value(limit)).unwrap();
        let mut plain = adam();
        let mut a = start();
        let mut b = start();
        for gradients in &steps {
            step(&mut clipped, &mut a, gradients).unwrap();
            let clamped = gradients.each_ref().map(|g| g.iter().map(|g| g.clamp(-limit, limit)).collect::<Vec<_>>());
            step(&mut plain, &mut b, &clamped).unwrap();
            prop_assert_eq!(values(&a), values(&b));
        }
    }

    /// By value first and then by the norm of what is left, in the order in which they were added.
    #[test]
    fn by_both(gradients in gradients(), value in 0.1..6.0f64, limit in 0.1..10.0f64) {
        let sgd = || Optimizer::new(Sgd::default()).unwrap();
        let clipped = sgd().with_clipping(Clipping::Value(value)).unwrap();
        let mut clipped = clipped.with_clipping(Clipping::GlobalNorm(limit)).unwrap();
        let mut a = start();
        step(&mut clipped, &mut a, &gradients).unwrap();
        let clamped = gradients.map(|g| g.iter().map(|g| g.clamp(-value, value)).collect::<Vec<_>>());
        let factor = (limit / norm(&clamped)).min(1.0);
        let mut b = start();
        step(&mut sgd(), &mut b, &clamped.map(|g| g.iter().map(|g| factor * g).collect())).unwrap();
        assert_close(&values(&a), &values(&b), 1e-12);
    }
}

#[test]
fn gradients_within_the_limits_stay_as_they_are() {
    let gradients = [vec![0.3, -0.1, 0.0], vec![0.5, 0.2]];
    let clipped = adam().with_clipping(Clipping::Value(0.5)).unwrap();
    let mut clipped = clipped.with_clipping(Clipping::GlobalNorm(norm(&gradients) * 1.001)).unwrap();
    let mut a = start();
    let mut b = start();
    step(&mut clipped, &mut a, &gradients).unwrap();
    step(&mut adam(), &mut b, &gradients).unwrap();
    assert_eq!(values(&a), values(&b));
}

#[test]
fn a_norm_that_is_not_finite_changes_nothing() {
    let mut clipped = adam().with_clipping(Clipping::GlobalNorm(1.0)).unwrap();
    let mut weights = start();
    for value in [f64::NAN, f64::INFINITY, 1e200] {
        let error = step(&mut clipped, &mut weights, &[vec![value, 0.0, 0.0], vec![0.0, 0.0]]).unwrap_err();
        assert!(matches!(error, Error::Norm { norm } if !norm.is_finite()), "{error}");
    }
    assert_eq!(values(&weights), values(&start()));
    assert_eq!((clipped.steps(), clipped.state().unwrap().tensors.len()), (0, 0));
}

/// Gradients of frozen parameters are not used, so they must not shorten the step of the others.
#[test]
fn frozen_parameters_do_not_count_in_the_norm() {
    let gradients = [vec![0.3, 0.4, 0.0], vec![1e6, 0.0]];
    let sgd = Optimizer::new(Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false }).unwrap();
    let frozen = Group::new(|name| name == "b").lr_mult(0.0);
    let mut sgd = sgd.with_group(frozen).unwrap().with_clipping(Clipping::GlobalNorm(0.5)).unwrap();
    let mut weights = start();
    step(&mut sgd, &mut weights, &gradients).unwrap();
    assert_eq!(values(&weights), [1.0 - 0.1 * 0.3, -2.0 - 0.1 * 0.4, 0.5, 0.25, 3.0]);
}

#[test]
fn a_step_in_parts_cannot_be_clipped_by_the_global_norm() {
    let mut clipped = adam().with_clipping(Clipping::GlobalNorm(1.0)).unwrap();
    assert!(clipped.needs_all_gradients());
    let mut weights = start();
    let gradients = [vector(&[1.0; 3]), vector(&[1.0; 2])];
    let [a, b] = &mut weights;
    let mut partial = clipped.begin(0.1).unwrap();
    partial.update(vec![Update::new("a", a, &gradients[0])]).unwrap();
    let error = partial.update(vec![Update::new("b", b, &gradients[1])]).unwrap_err();
    assert!(matches!(error, Error::PartialStep), "{error}");
    let mut clipped = adam().with_clipping(Clipping::Value(0.5)).unwrap();
    assert!(!clipped.needs_all_gradients());
    let mut partial = clipped.begin(0.1).unwrap();
    partial.update(vec![Update::new("a", a, &gradients[0])]).unwrap();
    partial.update(vec![Update::new("b", b, &gradients[1])]).unwrap();
}

#[test]
fn limits_are_above_0() {
    let refused = |clipping| adam().with_clipping(clipping).unwrap_err().to_string();
    assert_eq!(refused(Clipping::Value(0.0)), "clipping value must be a finite number above 0, got 0");
    assert_eq!(refused(Clipping::GlobalNorm(f64::NAN)), "clipping norm must be a finite number above 0, got NaN");
}
