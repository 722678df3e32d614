//! Sums, differences, products and scaling against plain loops.

use alexnet_tensor::{Cpu, Element, Tensor};
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

#[test]
fn shapes_that_differ_are_named() {
    let a = tensor64(&[2, 3], &[0.0; 6]);
    let b = tensor64(&[3, 2], &[0.0; 6]);
    let wrong = "elementwise: expected shape [2, 3], got shape [3, 2]";
    for result in [a.add(&b), a.subtract(&b), a.multiply(&b)] {
        assert_eq!(error_message(result), wrong);
    }
    let text = error_message(a.clone().add_scaled(1.0, &b));
    assert_eq!(text, "add_scaled: expected shape [2, 3], got shape [3, 2]");
}
