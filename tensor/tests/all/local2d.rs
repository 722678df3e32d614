//! Locally connected layers against plain loops and finite differences.

use alexnet_tensor::ops::Conv2d;
use alexnet_tensor::{Cpu, Element, Tensor};
use proptest::prelude::*;

use crate::common::{Case, absolute, assert_rounded, cases, len};
use crate::support::*;

/// `[oh * ow, out, kh, kw, c / groups]` and `[oh, ow, out]`.
fn weights(case: &Case) -> ([usize; 5], [usize; 3]) {
    let [_, oh, ow, out] = case.y();
    let [_, kh, kw, cg] = case.w;
    ([oh * ow, out, kh, kw, cg], [oh, ow, out])
}

/// x, w, b, dy.
fn draw(case: &Case, seed: u64) -> [Vec<f64>; 4] {
    let (w, b) = weights(case);
    let draw = |i, shape: &[usize]| values(seed.wrapping_add(i), len(shape));
    [draw(0, &case.x), draw(1, &w), draw(2, &b), draw(3, &case.y())]
}

/// y with bias, dx and dw.
fn run<E: Element>(cpu: &Cpu<E>, case: &Case, [x, w, b, dy]: &[Vec<f64>; 4]) -> [Tensor<Cpu<E>>; 3] {
    let (w_shape, b_shape) = weights(case);
    let x = tensor_on(cpu, &case.x, x);
    let w = tensor_on(cpu, &w_shape, w);
    let b = tensor_on(cpu, &b_shape, b);
    let dy = tensor_on(cpu, &case.y(), dy);
    let y = x.local2d(&case.spec, &w, Some(&b)).expect("forward");
    let dx = dy.local2d_dx(&case.spec, &case.x, &w).expect("dx");
    let dw = dy.local2d_dw(&case.spec, &x, &w_shape).expect("dw");
    assert_eq!((y.shape(), dx.shape(), dw.shape()), (&case.y()[..], &case.x[..], &w_shape[..]));
    [y, dx, dw]
}

fn reference(case: &Case, [x, w, b, dy]: &[Vec<f64>; 4]) -> [Vec<f64>; 3] {
    let mut results = case.reference(true, x, w, dy);
    results[0].iter_mut().enumerate().for_each(|(i, y)| *y += b[i % b.len()]);
    results
}

fn check(case: &Case, seed: u64) {
    let drawn = draw(case, seed);
    let expected = reference(case, &drawn);
    let sums = reference(case, &drawn.each_ref().map(|v| absolute(v)));
    let double = run(cpu64(), case, &drawn);
    let single = run(cpu32(), case, &drawn);
    for (i, expected) in expected.iter().enumerate() {
        assert_close(&host(&double[i]), expected, 1e-10);
        assert_rounded(&host(&single[i]), expected, &sums[i]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn matches_plain_loops(case in cases(6), seed: u64) {
        check(&case, seed);
    }

    /// The same kernels at each place are a convolution.
    #[test]
    fn shared_kernels_are_a_convolution(case in cases(6), seed: u64) {
        let kernels = values(seed, len(&case.w));
        let x = tensor64(&case.x, &values(seed.wrapping_add(1), len(&case.x)));
        let (shape, _) = weights(&case);
        let local = x.local2d(&case.spec, &tensor64(&shape, &kernels.repeat(shape[0])), None).expect("local2d");
        let conv = x.conv2d(&case.spec, &tensor64(&case.w, &kernels), None, false).expect("conv2d");
        assert_close(&host(&local), &host(&conv), 1e-12);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn gradients_are_finite_differences(case in cases(3), seed: u64) {
        let drawn = draw(&case, seed);
        let [x, w, _, dy] = &drawn;
        let (shape, _) = weights(&case);
        let forward = |x: &[f64], w: &[f64]| {
            host(&tensor64(&case.x, x).local2d(&case.spec, &tensor64(&shape, w), None).expect("forward"))
        };
        let [_, dx, dw] = run(cpu64(), &case, &drawn);
        assert_close(&host(&dx), &finite_differences(x, dy, |x| forward(x, w)), 1e-6);
        assert_close(&host(&dw), &finite_differences(w, dy, |w| forward(x, w)), 1e-6);
    }
}

/// Batches that are not a multiple of the images worked on together.
#[test]
fn larger_batches_match_plain_loops() {
    let spec = Conv2d { padding: alexnet_tensor::ops::Padding::all(1), groups: 2, ..Conv2d::default() };
    check(&Case { spec, x: [21, 6, 6, 8], w: [6, 3, 3, 4] }, 3);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let spec = Conv2d { padding: alexnet_tensor::ops::Padding::all(1), groups: 2, ..Conv2d::default() };
    let case = Case { spec, x: [21, 9, 9, 16], w: [12, 3, 3, 8] };
    let drawn = draw(&case, 4);
    assert_same_bits(
        |cpu| run(cpu, &case, &drawn).iter().map(|t| t.to_vec().expect("a download")).collect(),
        |cpu| run(cpu, &case, &drawn).iter().map(|t| t.to_vec().expect("a download")).collect(),
    );
}

#[test]
fn no_images_give_no_output_and_no_gradient() {
    let case = Case { x: [0, 4, 4, 2], w: [3, 3, 3, 2], spec: Conv2d::default() };
    let [y, dx, dw] = run(cpu64(), &case, &draw(&case, 1));
    assert!(y.is_empty() && dx.is_empty());
    assert!(!dw.is_empty() && host(&dw).iter().all(|&v| v == 0.0));
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let zeros = |shape: &[usize]| Tensor::zeros(cpu64(), shape).expect("zeros");
    let x = zeros(&[2, 5, 5, 4]);
    let spec = Conv2d::default();
    let message = |result: alexnet_tensor::Result<Tensor<Cpu<f64>>>| result.expect_err("does not fit").to_string();
    let text = message(x.local2d(&spec, &zeros(&[8, 6, 3, 3, 4]), None));
    assert_eq!(text, "local2d: expected weights for 3 x 3 positions, got shape [8, 6, 3, 3, 4]");
    let w = zeros(&[9, 6, 3, 3, 4]);
    let text = message(x.local2d(&spec, &w, Some(&zeros(&[6]))));
    assert_eq!(text, "local2d: expected a bias [3, 3, 6], got shape [6]");
    let wrong = "local2d backward: expected a gradient [2, 3, 3, 6], got shape [2, 3, 3, 5]";
    assert_eq!(message(zeros(&[2, 3, 3, 5]).local2d_dx(&spec, &[2, 5, 5, 4], &w)), wrong);
    assert_eq!(message(zeros(&[2, 3, 3, 5]).local2d_dw(&spec, &x, &[9, 6, 3, 3, 4])), wrong);
}
