//! Locally connected layers against plain loops and finite differences.

use alexnet_tensor::ops::{Conv2d, Padding};
use alexnet_tensor::{Cpu, Element, Tensor};
use proptest::prelude::*;

use crate::common::{Case, Values, assert_rounded, cases, len};
use crate::support::*;

/// y with bias, dx and dw.
fn run<E: Element>(cpu: &Cpu<E>, case: &Case, v: &Values) -> [Tensor<Cpu<E>>; 3] {
    let x = tensor_on(cpu, &case.x, &v.x);
    let w = tensor_on(cpu, &case.local_w(), &v.w);
    let b = tensor_on(cpu, &case.local_b(), &v.b);
    let dy = tensor_on(cpu, &case.y(), &v.dy);
    let y = x.local2d(&case.spec, &w, Some(&b)).expect("forward");
    let dx = dy.local2d_dx(&case.spec, &case.x, &w).expect("dx");
    let dw = dy.local2d_dw(&case.spec, &x, &case.local_w()).expect("dw");
    assert_eq!((y.shape(), dx.shape(), dw.shape()), (&case.y()[..], &case.x[..], &case.local_w()[..]));
    [y, dx, dw]
}

fn reference(case: &Case, v: &Values) -> [Vec<f64>; 3] {
    let [mut y, dx, dw] = case.reference(true, v);
    for (i, y) in y.iter_mut().enumerate() {
        *y += v.b[i % v.b.len()];
    }
    [y, dx, dw]
}

fn check(case: &Case, seed: u64) {
    let v = Values::local(case, seed);
    let expected = reference(case, &v);
    let sums = reference(case, &v.absolute());
    let double = run(cpu64(), case, &v);
    let single = run(cpu32(), case, &v);
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

    /// With the same kernels at each position, the layer is a convolution.
    #[test]
    fn shared_kernels_are_a_convolution(case in cases(6), seed: u64) {
        let kernels = values(seed, len(&case.w));
        let x = tensor64(&case.x, &values(seed.wrapping_add(1), len(&case.x)));
        let shape = case.local_w();
        let local = x.local2d(&case.spec, &tensor64(&shape, &kernels.repeat(shape[0])), None).expect("local2d");
        let conv = x.conv2d(&case.spec, &tensor64(&case.w, &kernels), None, false).expect("conv2d");
        assert_close(&host(&local), &host(&conv), 1e-12);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn gradients_are_finite_differences(case in cases(3), seed: u64) {
        let v = Values::local(&case, seed);
        let forward = |x: &[f64], w: &[f64]| {
            let w = tensor64(&case.local_w(), w);
            host(&tensor64(&case.x, x).local2d(&case.spec, &w, None).expect("forward"))
        };
        let [_, dx, dw] = run(cpu64(), &case, &v);
        assert_close(&host(&dx), &finite_differences(&v.x, &v.dy, |x| forward(x, &v.w)), 1e-6);
        assert_close(&host(&dw), &finite_differences(&v.w, &v.dy, |w| forward(&v.x, w)), 1e-6);
    }
}

/// Batches that are not a multiple of the images in a piece.
#[test]
fn larger_batches_match_plain_loops() {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    check(&Case { spec, x: [21, 6, 6, 8], w: [6, 3, 3, 4] }, 3);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    let case = Case { spec, x: [21, 9, 9, 16], w: [12, 3, 3, 8] };
    let v = Values::local(&case, 4);
    assert_same_bits(
        |cpu| run(cpu, &case, &v).iter().map(|t| t.to_vec().expect("a download")).collect(),
        |cpu| run(cpu, &case, &v).iter().map(|t| t.to_vec().expect("a download")).collect(),
    );
}

#[test]
fn no_images_give_no_output_and_no_gradient() {
    let case = Case { x: [0, 4, 4, 2], w: [3, 3, 3, 2], spec: Conv2d::default() };
    let [y, dx, dw] = run(cpu64(), &case, &Values::local(&case, 1));
    assert!(y.is_empty() && dx.is_empty());
    assert!(!dw.is_empty() && host(&dw).iter().all(|&v| v == 0.0));
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let x = zeros64(&[2, 5, 5, 4]);
    let spec = Conv2d::default();
    let text = error_message(x.local2d(&spec, &zeros64(&[8, 6, 3, 3, 4]), None));
    assert_eq!(text, "local2d: expected weights for 3 x 3 positions, got shape [8, 6, 3, 3, 4]");
    let w = zeros64(&[9, 6, 3, 3, 4]);
    let text = error_message(x.local2d(&spec, &w, Some(&zeros64(&[6]))));
    assert_eq!(text, "local2d: expected a bias [3, 3, 6], got shape [6]");
    let wrong = "local2d backward: expected a gradient [2, 3, 3, 6], got shape [2, 3, 3, 5]";
    assert_eq!(error_message(zeros64(&[2, 3, 3, 5]).local2d_dx(&spec, &[2, 5, 5, 4], &w)), wrong);
    assert_eq!(error_message(zeros64(&[2, 3, 3, 5]).local2d_dw(&spec, &x, &[9, 6, 3, 3, 4])), wrong);
}
