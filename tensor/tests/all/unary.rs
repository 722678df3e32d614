//! Elementwise functions against the standard library's and finite differences.

use alexnet_tensor::ops::UnaryOperator;
use alexnet_tensor::{Cpu, Element};
use proptest::prelude::*;

use crate::support::*;

const OPERATORS: [UnaryOperator; 6] = [
    UnaryOperator::Exp,
    UnaryOperator::Log,
    UnaryOperator::Sqrt,
    UnaryOperator::Abs,
    UnaryOperator::Square,
    UnaryOperator::Reciprocal,
];

fn reference(operator: UnaryOperator, x: f64) -> f64 {
    match operator {
        UnaryOperator::Exp => x.exp(),
        UnaryOperator::Log => x.ln(),
        UnaryOperator::Sqrt => x.sqrt(),
        UnaryOperator::Abs => x.abs(),
        UnaryOperator::Square => x * x,
        UnaryOperator::Reciprocal => 1.0 / x,
        _ => unreachable!("a clamp has its own method"),
    }
}

/// Values of the operator's domain, not near its edge.
fn domain(operator: UnaryOperator, seed: u64, len: usize) -> Vec<f64> {
    let x = apart(seed, len);
    match operator {
        UnaryOperator::Log | UnaryOperator::Sqrt => x.iter().map(|v| v.abs() + 0.2).collect(),
        UnaryOperator::Reciprocal => x.iter().map(|v| v + 0.2 * v.signum()).collect(),
        _ => x,
    }
}

fn check_values<E: Element>(cpu: &Cpu<E>, operator: UnaryOperator, x: &[f64], tolerance: f64) {
    let y = tensor_on(cpu, &[x.len()], x).unary(operator).expect("any values");
    let expected: Vec<f64> = x.iter().map(|&x| reference(operator, x)).collect();
    assert_close(&host(&y), &expected, tolerance);
}

proptest! {
    #[test]
    fn values_are_the_standard_librarys(len in 0usize..70, seed: u64) {
        for operator in OPERATORS {
            let x = domain(operator, seed, len);
            check_values(cpu64(), operator, &x, 1e-14);
            check_values(cpu32(), operator, &x, 1e-6);
        }
    }

    #[test]
    fn gradients_equal_differences(len in 1usize..20, seed: u64) {
        for operator in OPERATORS {
            let x = domain(operator, seed, len);
            let dy = values(seed ^ 1, len);
            let input = tensor64(&[len], &x);
            let output = input.unary(operator).unwrap();
            let kept = if operator.keeps_output() { output } else { input };
            let dx = host(&tensor64(&[len], &dy).unary_dx(operator, &kept).unwrap());
            let forward = |x: &[f64]| host(&tensor64(&[len], x).unary(operator).unwrap());
            prop_assert!(relative_error(&dx, &finite_differences(&x, &dy, forward)) < 1e-6, "{operator:?}");
        }
    }

    #[test]
    fn clamped_values_and_their_gradients_equal_plain_loops(
        x in prop::collection::vec(-4i8..5, 0..60), bounds in [-3i8..4, 0i8..3],
    ) {
        let low = f64::from(bounds[0]);
        let high = low + f64::from(bounds[1]);
        let x: Vec<f64> = x.into_iter().map(f64::from).collect();
        let dy = values(1, x.len());
        let input = tensor64(&[x.len()], &x);
        let clamped: Vec<f64> = x.iter().map(|x| x.clamp(low, high)).collect();
        prop_assert_eq!(host(&input.clamp(low, high).unwrap()), clamped);
        let within = |(x, dy): (&f64, &f64)| if (low..=high).contains(x) { *dy } else { 0.0 };
        let expected: Vec<f64> = x.iter().zip(&dy).map(within).collect();
        prop_assert_eq!(host(&tensor64(&[x.len()], &dy).clamp_dx(low, high, &input).unwrap()), expected);
    }
}

#[test]
fn the_methods_are_the_operators() {
    let x = tensor64(&[2], &[0.3, 1.7]);
    let results = [x.exp(), x.log(), x.sqrt(), x.abs(), x.square(), x.reciprocal()];
    for (operator, result) in OPERATORS.into_iter().zip(results) {
        assert_eq!(host(&result.unwrap()), [reference(operator, 0.3), reference(operator, 1.7)]);
    }
    assert_eq!(host(&x.negate().unwrap()), [-0.3, -1.7]);
}

#[test]
fn nan_and_the_edges_of_the_domains() {
    let nan = tensor32(&[1], &[f64::NAN]);
    for y in OPERATORS.map(|operator| nan.unary(operator)).into_iter().chain([nan.clamp(-1.0, 1.0)]) {
        assert!(host(&y.unwrap())[0].is_nan());
    }
    let x = tensor32(&[3], &[0.0, -1.0, f64::INFINITY]);
    let log = host(&x.log().unwrap());
    assert!(log[0] == f64::NEG_INFINITY && log[1].is_nan() && log[2] == f64::INFINITY, "{log:?}");
    assert!(host(&x.sqrt().unwrap())[1].is_nan());
    assert_eq!(host(&x.reciprocal().unwrap()), [f64::INFINITY, -1.0, 0.0]);
    assert_eq!(host(&x.clamp(f64::NEG_INFINITY, 0.5).unwrap()), [0.0, -1.0, 0.5]);
    // The derivative of the absolute value at 0 is 0.
    assert_eq!(host(&tensor32(&[3], &[5.0; 3]).unary_dx(UnaryOperator::Abs, &x).unwrap()), [0.0, -5.0, 5.0]);
}

#[test]
fn bounds_out_of_order_and_other_shapes_are_refused() {
    let x = zeros64(&[2]);
    assert_eq!(error_message(x.clamp(2.0, 1.0)), "clamp: the bounds must be in order, got 2 and 1");
    assert_argument_error(x.clamp(f64::NAN, 1.0), "NaN");
    assert_argument_error(x.clamp_dx(2.0, 1.0, &x), "in order");
    assert_argument_error(x.unary(UnaryOperator::Clamp), "call clamp");
    assert_argument_error(x.unary_dx(UnaryOperator::Clamp, &x), "call clamp_dx");
    assert_shape_error(x.unary_dx(UnaryOperator::Exp, &zeros64(&[3])), "unary backward");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let x = tensor_on(cpu, &[70_000], &values(1, 70_000));
        let results = OPERATORS.map(|operator| x.unary(operator).unwrap());
        let gradients = OPERATORS.map(|operator| x.unary_dx(operator, &x).unwrap());
        results.iter().chain(&gradients).map(|t| t.to_vec().unwrap()).collect()
    }
    assert_same_bits(work, work);
}
