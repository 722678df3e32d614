//! Products of matrices against plain loops and finite differences.

use alexnet_tensor::ops::MatmulOptions;
use alexnet_tensor::{Cpu, Element, Tensor};
use proptest::prelude::*;

use crate::common::{absolute, assert_rounded};
use crate::support::*;

/// a b for a `[m, k]` and b `[k, n]`.
fn reference([m, n, k]: [usize; 3], a: &[f64], b: &[f64]) -> Vec<f64> {
    (0..m * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum()).collect()
}

fn check_matmul([m, n, k]: [usize; 3], [ta, tb]: [bool; 2], seed: u64) {
    let a = values(seed, m * k);
    let b = values(seed.wrapping_add(1), k * n);
    let expected = reference([m, n, k], &a, &b);
    let sums = reference([m, n, k], &absolute(&a), &absolute(&b));
    let double = matmul(cpu64(), [m, n, k], [ta, tb], &a, &b);
    assert_eq!(double.shape(), [m, n]);
    assert_close(&host(&double), &expected, 1e-10);
    let single = matmul(cpu32(), [m, n, k], [ta, tb], &a, &b);
    assert_rounded(&host(&single), &expected, &sums);
}

/// The product of a `[m, k]` and b `[k, n]`, of matrices stored transposed or not.
fn matmul<E: Element>(
    cpu: &Cpu<E>,
    [m, n, k]: [usize; 3],
    [ta, tb]: [bool; 2],
    a: &[f64],
    b: &[f64],
) -> Tensor<Cpu<E>> {
    let a = if ta { tensor_on(cpu, &[k, m], &transposed(m, k, a)) } else { tensor_on(cpu, &[m, k], a) };
    let b = if tb { tensor_on(cpu, &[n, k], &transposed(k, n, b)) } else { tensor_on(cpu, &[k, n], b) };
    a.matmul_with(&b, MatmulOptions { transpose_a: ta, transpose_b: tb }).expect("product")
}

/// y, dx and dw of a fully connected layer with random operands.
fn layer<E: Element>(cpu: &Cpu<E>, [m, n, k]: [usize; 3], relu: bool, seed: u64) -> [Tensor<Cpu<E>>; 3] {
    let draw = |i, shape: &[usize]| tensor_on(cpu, shape, &values(seed.wrapping_add(i), shape.iter().product()));
    let x = draw(0, &[m, k]);
    let w = draw(1, &[n, k]);
    let b = draw(2, &[n]);
    let dy = draw(3, &[m, n]);
    let y = x.linear(&w, Some(&b), relu).expect("forward");
    [y, dy.linear_dx(&w).expect("dx"), dy.linear_dw(&x).expect("dw")]
}

/// y, dx and dw of [`layer`] from x, w, b and dy, by plain loops.
fn layer_reference([m, n, k]: [usize; 3], relu: bool, [x, w, b, dy]: &[Vec<f64>; 4]) -> [Vec<f64>; 3] {
    let mut y = reference([m, n, k], x, &transposed(n, k, w));
    for (i, y) in y.iter_mut().enumerate() {
        *y += b[i % n];
        *y = if relu { y.max(0.0) } else { *y };
    }
    [y, reference([m, k, n], dy, w), reference([n, k, m], &transposed(m, n, dy), x)]
}

fn check_layer(lengths: [usize; 3], relu: bool, seed: u64) {
    let [m, n, k] = lengths;
    let draw = |i, len| values(seed.wrapping_add(i), len);
    let drawn = [draw(0, m * k), draw(1, n * k), draw(2, n), draw(3, m * n)];
    let expected = layer_reference(lengths, relu, &drawn);
    let sums = layer_reference(lengths, relu, &drawn.each_ref().map(|v| absolute(v)));
    let double = layer(cpu64(), lengths, relu, seed);
    let single = layer(cpu32(), lengths, relu, seed);
    for (i, expected) in expected.iter().enumerate() {
        assert_close(&host(&double[i]), expected, 1e-10);
        assert_rounded(&host(&single[i]), expected, &sums[i]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn products_match_plain_loops(lengths in [0usize..20, 0usize..20, 0usize..20], transposes: [bool; 2], seed: u64) {
        check_matmul(lengths, transposes, seed);
    }

    #[test]
    fn layers_match_plain_loops(lengths in [1usize..40, 1usize..40, 1usize..40], relu: bool, seed: u64) {
        check_layer(lengths, relu, seed);
    }

    #[test]
    fn gradients_are_finite_differences(lengths in [1usize..5, 1usize..5, 1usize..5], seed: u64) {
        let [m, n, k] = lengths;
        let draw = |i, len| values(seed.wrapping_add(i), len);
        let x = draw(0, m * k);
        let w = draw(1, n * k);
        let dy = draw(3, m * n);
        let forward = |x: &[f64], w: &[f64]| {
            host(&tensor64(&[m, k], x).linear(&tensor64(&[n, k], w), None, false).expect("forward"))
        };
        let [_, dx, dw] = layer(cpu64(), lengths, false, seed);
        assert_close(&host(&dx), &finite_differences(&x, &dy, |x| forward(x, &w)), 1e-6);
        assert_close(&host(&dw), &finite_differences(&w, &dy, |w| forward(&x, w)), 1e-6);
    }
}

/// All ways to compute x W^T, and more outputs than a block has.
#[test]
fn many_rows_and_many_outputs_match_plain_loops() {
    for lengths in [[1, 600, 70], [30, 520, 33], [512, 20, 30], [513, 20, 30]] {
        check_layer(lengths, true, 1);
        check_matmul(lengths, [true, true], 2);
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for lengths in [[64, 700, 300], [600, 200, 150], [1, 1000, 512]] {
        assert_same_bits(
            |cpu| layer(cpu, lengths, true, 3).iter().map(|t| t.to_vec().expect("a download")).collect(),
            |cpu| layer(cpu, lengths, true, 3).iter().map(|t| t.to_vec().expect("a download")).collect(),
        );
    }
}

#[test]
fn an_empty_sum_is_the_bias() {
    let x = tensor64(&[2, 0], &[]);
    let w = tensor64(&[3, 0], &[]);
    let y = x.linear(&w, Some(&tensor64(&[3], &[1.0, -2.0, 3.0])), true).expect("forward");
    assert_eq!(host(&y), [1.0, 0.0, 3.0, 1.0, 0.0, 3.0]);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let x = zeros64(&[2, 5]);
    let w = zeros64(&[3, 4]);
    assert_eq!(error_message(x.linear(&w, None, false)), "linear: expected an inner length of 5, got shape [3, 4]");
    assert_eq!(error_message(x.matmul(&w)), "matmul: expected an inner length of 5, got shape [3, 4]");
    let transposed = x.matmul_with(&w, MatmulOptions { transpose_a: true, transpose_b: false });
    assert_eq!(error_message(transposed), "matmul: expected an inner length of 2, got shape [3, 4]");
    let text = error_message(zeros64(&[1, 2, 5]).linear(&w, None, false));
    assert_eq!(text, "linear: expected 2 axes, got shape [1, 2, 5]");
    let text = error_message(x.linear(&zeros64(&[3, 5]), Some(&zeros64(&[5])), false));
    assert_eq!(text, "linear: expected a bias [3], got shape [5]");
    assert!(
        error_message(x.linear_dx(&zeros64(&[3, 5]))).starts_with("linear backward: expected an inner length of 5")
    );
    assert!(
        error_message(x.linear_dw(&zeros64(&[3, 5]))).starts_with("linear backward: expected an inner length of 2")
    );
}
