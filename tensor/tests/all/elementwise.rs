//! Elementwise operations on two tensors, and scaling, against plain loops and `ndarray`.

use alexnet_tensor::ndarray::{ArrayD, ArrayViewD, Zip};
use alexnet_tensor::{Cpu, Element, Result, Tensor};
use proptest::prelude::*;

use crate::support::*;

/// a + b, a - b, a b, factor a + shift, factor a, a += factor b.
fn run<E: Element>(cpu: &Cpu<E>, a: &[f64], b: &[f64], factor: f64, shift: f64) -> [Tensor<Cpu<E>>; 6] {
    let a = tensor_on(cpu, &[a.len()], a);
    let b = tensor_on(cpu, &[b.len()], b);
    let mut scaled = a.clone();
    scaled.add_scaled(factor, &b).expect("add_scaled");
    let results = [a.add(&b), a.subtract(&b), a.multiply(&b), a.mul_add_scalar(factor, shift), a.scale(factor)];
    let [r0, r1, r2, r3, r4] = results.map(|r| r.expect("elementwise"));
    [r0, r1, r2, r3, r4, scaled]
}

fn check(len: usize, factor: f64, shift: f64, seed: u64) {
    let a = values(seed, len);
    let b = values(seed.wrapping_add(1), len);
    let zip = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(&b).map(|(&a, &b)| f(a, b)).collect::<Vec<_>>();
    let expected = [
        zip(&|a, b| a + b),
        zip(&|a, b| a - b),
        zip(&|a, b| a * b),
        zip(&|a, _| factor * a + shift),
        zip(&|a, _| factor * a),
        zip(&|a, b| a + factor * b),
    ];
    let double = run(cpu64(), &a, &b, factor, shift);
    let single = run(cpu32(), &a, &b, factor, shift);
    for (i, expected) in expected.iter().enumerate() {
        assert_close(&host(&double[i]), expected, 1e-12);
        assert_close(&host(&single[i]), expected, 3e-6);
    }
}

proptest! {
    #[test]
    fn matches_plain_loops(len in 0usize..50, factor in -3.0..3.0f64, shift in -3.0..3.0f64, seed: u64) {
        check(len, factor, shift, seed);
    }
}

#[test]
fn lengths_past_one_chunk_match_plain_loops() {
    check(40_001, -0.5, 2.0, 7);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let a = values(1, 70_000);
    let b = values(2, 70_000);
    assert_same_bits(
        |cpu| run(cpu, &a, &b, 0.3, 0.1).iter().map(|t| t.to_vec().expect("a download")).collect(),
        |cpu| run(cpu, &a, &b, 0.3, 0.1).iter().map(|t| t.to_vec().expect("a download")).collect(),
    );
}

#[test]
fn add_scaled_does_not_change_shared_tensors() {
    let x = tensor64(&[3], &[1.0, 2.0, 3.0]);
    let mut y = x.clone();
    y.add_scaled(2.0, &x).expect("the same shape");
    assert_eq!(host(&y), [3.0, 6.0, 9.0]);
    assert_eq!(host(&x), [1.0, 2.0, 3.0]);
}

type Operation<E> = fn(&Tensor<Cpu<E>>, &Tensor<Cpu<E>>) -> Result<Tensor<Cpu<E>>>;

fn operations<E: Element>() -> [Operation<E>; 7] {
    [Tensor::add, Tensor::subtract, Tensor::multiply, Tensor::divide, Tensor::minimum, Tensor::maximum, Tensor::less]
}

const REFERENCES: [fn(f64, f64) -> f64; 7] = [
    |a, b| a + b,
    |a, b| a - b,
    |a, b| a * b,
    |a, b| a / b,
    |a, b| a.min(b),
    |a, b| a.max(b),
    |a, b| f64::from(u8::from(a < b)),
];

/// The result of `f` by `ndarray`, whose rules of broadcasting are NumPy's.
fn reference(shape: &[usize], a: ArrayViewD<f64>, b: ArrayViewD<f64>, f: fn(f64, f64) -> f64) -> ArrayD<f64> {
    let a = a.broadcast(shape).expect("a shape that broadcasts");
    let b = b.broadcast(shape).expect("a shape that broadcasts");
    Zip::from(a).and(b).map_collect(|&a, &b| f(a, b))
}

/// The shape of the result, and those of two operands: each axis is in both, repeated in one of them or in both, or
/// missing in front of one.
fn broadcast_shapes() -> impl Strategy<Value = [Vec<usize>; 3]> {
    let axis = (prop::sample::select(vec![0usize, 1, 1, 2, 3, 5, 17]), 0usize..4);
    (prop::collection::vec(axis, 0..6), 0usize..6, 0usize..2).prop_map(|(axes, missing, shorter)| {
        let operand = |operand: usize| -> Vec<usize> {
            let lengths = axes.iter().map(|&(len, repeated)| if repeated == operand { 1 } else { len });
            lengths.skip(if operand == shorter { missing } else { 0 }).collect()
        };
        let operands = [operand(0), operand(1)];
        let from_end = |shape: &[usize], i: usize| shape.iter().rev().nth(i).copied().unwrap_or(1);
        let rank = operands[0].len().max(operands[1].len());
        let of_both = |i| [from_end(&operands[0], i), from_end(&operands[1], i)];
        let result = (0..rank).rev().map(|i| match of_both(i) {
            [1, len] | [len, _] => len,
        });
        let [a, b] = operands.clone();
        [result.collect(), a, b]
    })
}

fn check_broadcast<E: Element>(cpu: &Cpu<E>, [shape, a_shape, b_shape]: &[Vec<usize>; 3], seed: u64, tolerance: f64) {
    // Rounded, so that some values are equal, and no divisor is 0.
    let round = |values: Vec<f64>| values.iter().map(|v| (v * 8.0).round() / 8.0 + 2.25).collect::<Vec<_>>();
    let a = round(values(seed, a_shape.iter().product()));
    let b = round(values(seed.wrapping_add(1), b_shape.iter().product()));
    let x = tensor_on(cpu, a_shape, &a);
    let y = tensor_on(cpu, b_shape, &b);
    let a = ArrayViewD::from_shape(a_shape.as_slice(), &a).expect("as many values as the shape holds");
    let b = ArrayViewD::from_shape(b_shape.as_slice(), &b).expect("as many values as the shape holds");
    for (operation, f) in operations().into_iter().zip(REFERENCES) {
        let got = operation(&x, &y).expect("shapes that broadcast");
        assert_eq!(got.shape(), shape);
        let expected = reference(shape, a.view(), b.view(), f);
        assert_close(&host(&got), &expected.iter().copied().collect::<Vec<_>>(), tolerance);
    }
}

proptest! {
    #[test]
    fn broadcasting_equals_that_of_ndarray(shapes in broadcast_shapes(), seed: u64) {
        check_broadcast(cpu64(), &shapes, seed, 1e-14);
        check_broadcast(cpu32(), &shapes, seed, 1e-6);
    }

    /// Where `ndarray` cannot broadcast, there is an error that names the operation and both shapes.
    #[test]
    fn shapes_that_do_not_broadcast_are_refused(
        a in prop::collection::vec(0usize..4, 0..5), b in prop::collection::vec(0usize..4, 0..5),
    ) {
        let fits = a.iter().rev().zip(b.iter().rev()).all(|(&a, &b)| a == b || a == 1 || b == 1);
        let result = zeros64(&a).divide(&zeros64(&b));
        prop_assert_eq!(result.is_ok(), fits);
        if !fits {
            let expected = format!("divide: expected a shape that broadcasts with {a:?}, got shape {b:?}");
            prop_assert_eq!(error_message(result), expected);
        }
    }
}

#[test]
fn broadcasting_past_one_chunk_equals_that_of_ndarray() {
    for [a, b] in [[vec![40_001], vec![1]], [vec![3, 1, 7001], vec![2, 1]], [vec![20_000, 3], vec![20_000, 1]]] {
        let rank = a.len().max(b.len());
        let from_end = |shape: &[usize], i: usize| shape.iter().rev().nth(i).copied().unwrap_or(1);
        let shape = (0..rank).rev().map(|i| from_end(&a, i).max(from_end(&b, i))).collect();
        check_broadcast(cpu64(), &[shape, a, b], 3, 1e-14);
    }
}

#[test]
fn nan_is_kept_by_minimum_and_maximum_and_is_less_than_nothing() {
    let a = tensor32(&[5], &[f64::NAN, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    let b = tensor32(&[5], &[1.0, f64::NAN, f64::NAN, 2.0, 2.0]);
    for [a, b] in [[&a, &b], [&b, &a]] {
        for y in [a.minimum(b), a.maximum(b)] {
            assert_eq!(
                host(&y.unwrap()).iter().map(|v| v.is_nan()).collect::<Vec<_>>(),
                [true, true, true, false, false]
            );
        }
        assert_eq!(host(&a.less(b).unwrap())[..3], [0.0; 3]);
    }
    assert_eq!(host(&a.minimum(&b).unwrap())[3..], [2.0, f64::NEG_INFINITY]);
    assert_eq!(host(&a.maximum(&b).unwrap())[3..], [f64::INFINITY, 2.0]);
}

/// Shapes that differ go another way than equal ones; the bits are the same.
#[test]
fn broadcasting_has_the_bits_of_equal_shapes() {
    let a = tensor32(&[100, 37], &values(1, 3700));
    let row = tensor32(&[37], &values(2, 37));
    let rows = row.broadcast_to(&[100, 37]).unwrap();
    for operation in operations() {
        let bits = |t: Tensor<Cpu<f32>>| t.to_vec().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(operation(&a, &row).unwrap()), bits(operation(&a, &rows).unwrap()));
    }
}

#[test]
fn shapes_that_differ_are_named() {
    let a = tensor64(&[2, 3], &[0.0; 6]);
    let b = tensor64(&[3, 2], &[0.0; 6]);
    let names = ["add", "subtract", "multiply", "divide", "minimum", "maximum", "less"];
    for (operation, name) in operations().into_iter().zip(names) {
        let expected = format!("{name}: expected a shape that broadcasts with [2, 3], got shape [3, 2]");
        assert_eq!(error_message(operation(&a, &b)), expected);
    }
    let text = error_message(a.clone().add_scaled(1.0, &b));
    assert_eq!(text, "add_scaled: expected shape [2, 3], got shape [3, 2]");
}

/// Each shape is small, their result is not.
#[test]
fn results_that_fit_in_no_memory_are_refused() {
    let row = zeros64(&[1 << 20, 1, 1, 1]);
    let huge = row.broadcast_to(&[1 << 20, 1 << 20, 1 << 20, 1 << 20]);
    assert_shape_error(huge, "broadcast");
}
