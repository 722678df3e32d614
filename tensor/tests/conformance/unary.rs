//! Elementwise functions.

use alexnet_tensor::ops::UnaryOperator;

use crate::compare::{activations, assert_near, exact, host};
use crate::devices::Tested;
use crate::support::values;

/// Lengths of no values, of whole and partial vectors, of one block of threads and more.
const LENGTHS: [usize; 6] = [0, 1, 7, 256, 1000, 70_001];
const OPERATORS: [UnaryOperator; 6] = [
    UnaryOperator::Exp,
    UnaryOperator::Log,
    UnaryOperator::Sqrt,
    UnaryOperator::Abs,
    UnaryOperator::Square,
    UnaryOperator::Reciprocal,
];

/// Values of the operator's domain, not near its edge. They are eighths, exact in every format.
fn domain(operator: UnaryOperator, seed: u64, len: usize) -> Vec<f64> {
    let eighths = values(seed, len).into_iter().map(|v| (v * 8.0).round() / 8.0);
    match operator {
        UnaryOperator::Log | UnaryOperator::Sqrt | UnaryOperator::Reciprocal => {
            eighths.map(|v| v.abs() + 0.25).collect()
        }
        _ => eighths.collect(),
    }
}

pub fn values_of_functions<B: Tested>(device: &B) {
    for (operator, len) in OPERATORS.into_iter().flat_map(|operator| LENGTHS.map(|len| (operator, len))) {
        let x = domain(operator, 1, len);
        let y = host(&activations(device, &[len], &x).unary(operator).expect("a launch"));
        let expected = exact(&[len], &x).unary(operator).expect("the CPU").to_vec().expect("values");
        assert_near(&y, &expected, |i| 1.0 + expected[i].abs(), device.value_tolerance());
    }
}

pub fn gradients<B: Tested>(device: &B) {
    for (operator, len) in OPERATORS.into_iter().flat_map(|operator| LENGTHS.map(|len| (operator, len))) {
        let kept = domain(operator, 2, len);
        let dy = values(3, len);
        let dx = activations(device, &[len], &dy).unary_dx(operator, &activations(device, &[len], &kept));
        let expected = exact(&[len], &dy).unary_dx(operator, &exact(&[len], &kept)).expect("the CPU");
        let expected = expected.to_vec().expect("values");
        assert_near(
            &host(&dx.expect("a launch")),
            &expected,
            |i| 1.0 + expected[i].abs(),
            2.0 * device.value_tolerance(),
        );
    }
}

/// Eighths, some of which are the bounds.
pub fn clamped<B: Tested>(device: &B) {
    for len in LENGTHS {
        let x = domain(UnaryOperator::Abs, 4, len);
        let dy = domain(UnaryOperator::Abs, 5, len);
        let input = activations(device, &[len], &x);
        let y = host(&input.clamp(-0.5, 1.25).expect("a launch"));
        assert_eq!(y, x.iter().map(|x| x.clamp(-0.5, 1.25)).collect::<Vec<_>>());
        let dx = host(&activations(device, &[len], &dy).clamp_dx(-0.5, 1.25, &input).expect("a launch"));
        let within = |(x, dy): (&f64, &f64)| if (-0.5..=1.25).contains(x) { *dy } else { 0.0 };
        assert_eq!(dx, x.iter().zip(&dy).map(within).collect::<Vec<_>>());
    }
}

pub fn special_values<B: Tested>(device: &B) {
    let nan = activations(device, &[1], &[f64::NAN]);
    for y in OPERATORS.map(|operator| nan.unary(operator)).into_iter().chain([nan.clamp(-1.0, 1.0)]) {
        assert!(host(&y.expect("a launch"))[0].is_nan());
    }
    let inf = f64::INFINITY;
    let x = activations(device, &[4], &[0.0, -1.0, inf, -inf]);
    let log = host(&x.log().expect("a launch"));
    assert!(log[0] == -inf && log[1].is_nan() && log[2] == inf, "logarithms: {log:?}");
    let root = host(&x.sqrt().expect("a launch"));
    assert!(root[0] == 0.0 && root[1].is_nan() && root[2] == inf, "roots: {root:?}");
    assert_eq!(host(&x.exp().expect("a launch"))[2..], [inf, 0.0]);
    assert_eq!(host(&x.abs().expect("a launch")), [0.0, 1.0, inf, inf]);
    assert_eq!(host(&x.reciprocal().expect("a launch"))[1..3], [-1.0, 0.0]);
    assert_eq!(host(&x.clamp(-inf, 0.5).expect("a launch")), [0.0, -1.0, 0.5, -inf]);
    let dy = activations(device, &[4], &[5.0; 4]);
    assert_eq!(host(&dy.unary_dx(UnaryOperator::Abs, &x).expect("a launch")), [0.0, -5.0, 5.0, -5.0]);
}
