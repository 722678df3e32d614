//! Activations against their formulas and finite differences.

use alexnet_tensor::ops::Activation;
use alexnet_tensor::{Cpu, Element};
use proptest::prelude::*;

use crate::support::*;

const ALL: [Activation; 3] = [Activation::Relu, Activation::Tanh, Activation::Logistic];

fn formula(f: Activation, x: f64) -> f64 {
    match f {
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Logistic => 1.0 / (1.0 + (-x).exp()),
        other => panic!("{other:?} has no formula here"),
    }
}

fn slope(f: Activation, x: f64) -> f64 {
    let y = formula(f, x);
    match f {
        Activation::Relu => f64::from(u8::from(x > 0.0)),
        Activation::Tanh => 1.0 - y * y,
        Activation::Logistic => y * (1.0 - y),
        other => panic!("{other:?} has no slope here"),
    }
}

fn run<E: Element>(cpu: &Cpu<E>, f: Activation, x: &[f64], dy: &[f64]) -> [Vec<f64>; 2] {
    let y = tensor_on(cpu, &[x.len()], x).activation(f).unwrap();
    let dy = tensor_on(cpu, &[x.len()], dy);
    let dx = dy.activation_dx(f, &y).unwrap();
    // A shared dy is copied, another one changes in place: both give the same bits.
    let bits = |x: &[f64]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let before = bits(&host(&dy));
    let copied = dy.clone().into_activation_dx(f, &y).unwrap();
    assert_eq!(bits(&host(&dy)), before);
    let in_place = dy.into_activation_dx(f, &y).unwrap();
    assert_eq!(bits(&host(&copied)), bits(&host(&dx)));
    assert_eq!(bits(&host(&in_place)), bits(&host(&dx)));
    [host(&y), host(&dx)]
}

/// Checks the fused gradient of relu(x + b), for a shared dy and another one.
fn relu_bias<E: Element>(cpu: &Cpu<E>, rows: usize, c: usize, seed: u64) {
    let [y, dy] = [seed, seed ^ 1].map(|seed| tensor_on(cpu, &[rows, c], &values(seed, rows * c)));
    let y = y.activation(Activation::Relu).unwrap();
    let dx = dy.activation_dx(Activation::Relu, &y).unwrap();
    let sums = host(&dx.sum_rows().unwrap());
    let before = host(&dy);
    let shared = dy.clone().into_relu_bias_dx(&y).unwrap();
    assert_eq!(host(&dy), before);
    for (one_dx, one_sums) in [shared, dy.into_relu_bias_dx(&y).unwrap()] {
        assert_eq!((host(&one_dx), host(&one_sums)), (host(&dx), sums.clone()));
    }
}

proptest! {
    #[test]
    fn relu_and_bias_in_one_pass_give_the_same_bits(rows in 0usize..400, c in 1usize..70, seed: u64) {
        relu_bias(cpu32(), rows, c, seed);
        relu_bias(cpu64(), rows, c, seed);
    }

    #[test]
    fn equals_formulas(x in prop::collection::vec(-20.0..20.0f64, 0..100), seed: u64) {
        let dy = values(seed, x.len());
        for f in ALL {
            let y: Vec<f64> = x.iter().map(|&x| formula(f, x)).collect();
            let dx: Vec<f64> = x.iter().zip(&dy).map(|(&x, &dy)| dy * slope(f, x)).collect();
            let got = run(cpu64(), f, &x, &dy);
            assert_close(&got[0], &y, 1e-14);
            assert_close(&got[1], &dx, 1e-13);
            let got = run(cpu32(), f, &x, &dy);
            assert_close(&got[0], &y, 1e-6);
            assert_close(&got[1], &dx, 2e-6);
        }
    }

    #[test]
    fn gradient_equals_differences(len in 1usize..60, seed: u64) {
        let x = apart(seed, len);
        let dy = values(seed, len);
        for f in ALL {
            let [_, dx] = run(cpu64(), f, &x, &dy);
            let forward = |x: &[f64]| host(&tensor64(&[x.len()], x).activation(f).unwrap());
            prop_assert!(relative_error(&dx, &finite_differences(&x, &dy, forward)) < 1e-6);
        }
    }
}

#[test]
fn nan_stays_nan_and_extremes_stay_finite() {
    let x = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, 0.0, -0.0];
    let y = |f| run(cpu32(), f, &x, &x)[0].clone();
    for f in ALL {
        assert!(y(f)[0].is_nan(), "{f:?}");
    }
    assert_eq!(y(Activation::Relu)[1..], [f64::INFINITY, 0.0, f64::from(1e30f32), 0.0, 0.0, 0.0]);
    assert_eq!(y(Activation::Tanh)[1..], [1.0, -1.0, 1.0, -1.0, 0.0, 0.0]);
    assert_eq!(y(Activation::Logistic)[1..], [1.0, 0.0, 1.0, 0.0, 0.5, 0.5]);
}

#[test]
fn relu_passes_no_gradient_at_zero() {
    let [_, dx] = run(cpu64(), Activation::Relu, &[-1.0, 0.0, -0.0, 1e-300], &[1.0; 4]);
    assert_eq!(dx, [0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn another_shape_is_refused() {
    let y = tensor64(&[2], &[1.0, 2.0]);
    let dy = tensor64(&[3], &[1.0; 3]);
    assert_shape_error(dy.activation_dx(Activation::Relu, &y), "activation backward");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let x = tensor_on(cpu, &[70_001], &values(1, 70_001));
        let results = ALL.map(|f| {
            let y = x.activation(f).unwrap();
            [x.activation_dx(f, &y).unwrap(), y].map(|t| t.to_vec().unwrap())
        });
        results.into_iter().flatten().collect()
    }
    assert_same_bits(work, work);
}

#[test]
fn relu_and_bias_of_large_maps_and_of_long_rows() {
    for (rows, c) in [(3000, 96), (3000, 1), (5, 1500), (0, 7)] {
        relu_bias(cpu32(), rows, c, 3);
    }
    let y = tensor64(&[2, 3], &[1.0; 6]);
    let dy = tensor64(&[3, 2], &[1.0; 6]);
    assert_shape_error(dy.into_relu_bias_dx(&y), "ReLU backward");
}

#[test]
fn bits_of_relu_and_bias_do_not_depend_on_the_number_of_threads() {
    fn run<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let [y, dy] = [1, 2].map(|seed| tensor_on(cpu, &[3025, 96], &values(seed, 3025 * 96)));
        let (dx, sums) = dy.into_relu_bias_dx(&y).unwrap();
        [dx, sums].map(|t| t.to_vec().unwrap()).into()
    }
    assert_same_bits(run, run);
}
