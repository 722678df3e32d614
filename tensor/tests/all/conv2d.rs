//! Convolution against plain loops and finite differences.

use alexnet_tensor::ops::{Conv2d, Padding};
use alexnet_tensor::{Algorithms, Cpu, Element, Tensor};
use proptest::prelude::*;

use crate::common::{Case, Values, assert_rounded, cases};
use crate::support::*;

/// y with bias, dx and dw.
fn run<E: Element>(cpu: &Cpu<E>, case: &Case, relu: bool, v: &Values) -> [Tensor<Cpu<E>>; 3] {
    let x = tensor_on(cpu, &case.x, &v.x);
    let w = tensor_on(cpu, &case.w, &v.w);
    let b = tensor_on(cpu, &case.w[..1], &v.b);
    let dy = tensor_on(cpu, &case.y(), &v.dy);
    let y = x.conv2d(&case.spec, &w, Some(&b), relu).expect("forward");
    let dx = dy.conv2d_dx(&case.spec, &case.x, &w).expect("dx");
    let dw = dy.conv2d_dw(&case.spec, &x, &case.w).expect("dw");
    assert_eq!((y.shape(), dx.shape(), dw.shape()), (&case.y()[..], &case.x[..], &case.w[..]));
    [y, dx, dw]
}

fn reference(case: &Case, relu: bool, v: &Values) -> [Vec<f64>; 3] {
    let [mut y, dx, dw] = case.reference(false, v);
    for (i, y) in y.iter_mut().enumerate() {
        *y += v.b[i % v.b.len()];
        if relu {
            *y = y.max(0.0);
        }
    }
    [y, dx, dw]
}

fn check(case: &Case, relu: bool, seed: u64) {
    let v = Values::conv(case, seed);
    let expected = reference(case, relu, &v);
    let sums = reference(case, relu, &v.absolute());
    let double = run(cpu64(), case, relu, &v);
    let single = run(cpu32(), case, relu, &v);
    for (i, expected) in expected.iter().enumerate() {
        assert_close(&host(&double[i]), expected, 1e-10);
        assert_rounded(&host(&single[i]), expected, &sums[i]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn matches_plain_loops(case in cases(9), relu: bool, seed: u64) {
        check(&case, relu, seed);
    }

    #[test]
    fn pointwise_matches_plain_loops(
        n in 1usize..4, h in 1usize..9, w in 1usize..9, groups in 1usize..4, c in 1usize..20, out in 1usize..20, seed: u64,
    ) {
        let spec = Conv2d { groups, ..Conv2d::default() };
        check(&Case { spec, x: [n, h, w, groups * c], w: [groups * out, 1, 1, c] }, false, seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn gradients_are_finite_differences(case in cases(4), seed: u64) {
        let v = Values::conv(&case, seed);
        let w = tensor64(&case.w, &v.w);
        let forward = |x: &[f64], w: &Tensor<_>| {
            host(&tensor64(&case.x, x).conv2d(&case.spec, w, None, false).expect("forward"))
        };
        let [_, dx, dw] = run(cpu64(), &case, false, &v);
        let slope = finite_differences(&v.x, &v.dy, |x| forward(x, &w));
        assert_close(&host(&dx), &slope, 1e-6);
        let slope = finite_differences(&v.w, &v.dy, |w| forward(&v.x, &tensor64(&case.w, w)));
        assert_close(&host(&dw), &slope, 1e-6);
    }
}

/// The largest error in y, dx and dw, relative to the largest sum of absolute values of terms.
fn largest_error(got: &[Tensor<Cpu<f32>>; 3], case: &Case, relu: bool, v: &Values) -> f64 {
    let exact = reference(case, relu, v);
    let sums = reference(case, relu, &v.absolute());
    let error = |i: usize| {
        let largest = sums[i].iter().fold(0.0f64, |m, v| m.max(*v));
        host(&got[i]).iter().zip(&exact[i]).fold(0.0f64, |m, (g, e)| m.max((g - e).abs() / largest))
    };
    (0..3).map(error).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Shapes for fast algorithms: an error of at most 1e-5, and of 1e-6 by exact ones.
    #[test]
    fn fast_and_exact_algorithms_match_plain_loops(
        five: bool, n in 12usize..14, room in [0usize..6, 0usize..6], depth in [1usize..3, 1usize..3],
        groups in 1usize..3, pads in [0usize..3, 0usize..3, 0usize..3, 0usize..3], relu: bool, seed: u64,
    ) {
        let side = if five { 5 } else { 3 };
        let [top, bottom, left, right] = pads;
        let padding = Padding { top, bottom, left, right };
        let [inner, outer] = depth.map(|d| 16 * d);
        let x = [n, side + 4 + room[0], side + 4 + room[1], groups * inner];
        let spec = Conv2d { padding, groups, ..Conv2d::default() };
        let case = Case { spec, x, w: [groups * outer, side, side, inner] };
        let v = Values::conv(&case, seed);
        for (algorithms, most) in [(Algorithms::Fast, 1e-5), (Algorithms::Exact, 1e-6)] {
            let cpu = Cpu::with_algorithms(2, algorithms).expect("threads");
            let error = largest_error(&run(&cpu, &case, relu, &v), &case, relu, &v);
            prop_assert!(error <= most, "{algorithms:?}: {error:e} of {case:?}");
        }
    }
}

/// Large enough for many pieces and for all partial sums of dw. Pieces end within rows.
fn large() -> Case {
    let spec = Conv2d { stride: [1, 1], padding: Padding::all(2), groups: 2 };
    Case { spec, x: [5, 23, 21, 14], w: [22, 5, 5, 7] }
}

/// A shape for Winograd's algorithm, of several blocks.
fn winograd() -> Case {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    Case { spec, x: [160, 13, 13, 32], w: [64, 3, 3, 16] }
}

#[test]
fn many_pieces_match_plain_loops() {
    check(&large(), true, 5);
    let stem =
        Conv2d { stride: [4, 4], padding: Padding { bottom: 3, right: 3, ..Padding::default() }, ..large().spec };
    check(&Case { spec: Conv2d { groups: 1, ..stem }, x: [3, 64, 64, 3], w: [16, 11, 11, 3] }, true, 6);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for case in [
        large(),
        winograd(),
        Case { x: [40, 13, 13, 48], w: [64, 1, 1, 24], spec: Conv2d { groups: 2, ..Conv2d::default() } },
    ] {
        let v = Values::conv(&case, 9);
        let download = |t: &Tensor<Cpu<f32>>| t.to_vec().expect("a download");
        let download64 = |t: &Tensor<Cpu<f64>>| t.to_vec().expect("a download");
        assert_same_bits(
            |cpu| run(cpu, &case, true, &v).iter().map(download).collect(),
            |cpu| run(cpu, &case, true, &v).iter().map(download64).collect(),
        );
    }
}

#[test]
fn no_images_give_no_output_and_no_gradient() {
    let case = Case { x: [0, 5, 5, 4], w: [6, 3, 3, 2], spec: Conv2d { groups: 2, ..Conv2d::default() } };
    let [y, dx, dw] = run(cpu64(), &case, false, &Values::conv(&case, 1));
    assert!(y.is_empty() && dx.is_empty());
    assert_eq!(host(&dw), vec![0.0; 6 * 3 * 3 * 2]);
}

#[test]
fn the_fused_relu_keeps_nan() {
    let x = tensor64(&[1, 1, 2, 1], &[f64::NAN, -1.0]);
    let y = x.conv2d(&Conv2d::default(), &tensor64(&[1, 1, 1, 1], &[1.0]), None, true);
    let y = host(&y.expect("forward"));
    assert!(y[0].is_nan() && y[1] == 0.0);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let x = zeros64(&[2, 5, 5, 4]);
    let w = zeros64(&[6, 3, 3, 4]);
    let spec = Conv2d::default();
    assert_eq!(
        error_message(zeros64(&[5, 5, 4]).conv2d(&spec, &w, None, false)),
        "conv2d: expected an NHWC input, got shape [5, 5, 4]"
    );
    let text = error_message(x.conv2d(&spec, &zeros64(&[6, 36]), None, false));
    assert_eq!(text, "conv2d: expected weights [out, kh, kw, in / groups], got shape [6, 36]");
    let text = error_message(x.conv2d(&spec, &zeros64(&[6, 3, 3, 3]), None, false));
    assert_eq!(text, "conv2d: expected weights for 4 channels a group, got shape [6, 3, 3, 3]");
    let text = error_message(x.conv2d(&Conv2d { groups: 3, ..spec }, &w, None, false));
    assert_eq!(text, "conv2d: groups must divide 4 input and 6 output channels, got 3");
    assert!(error_message(x.conv2d(&Conv2d { groups: 0, ..spec }, &w, None, false)).contains("got 0"));
    assert!(
        error_message(x.conv2d(&Conv2d { stride: [0, 1], ..spec }, &w, None, false))
            .contains("at least 1, got 3 and 0")
    );
    let text = error_message(x.conv2d(&spec, &zeros64(&[6, 7, 3, 4]), None, false));
    assert_eq!(text, "conv2d: a kernel of 7 does not fit an input of 5 padded to 5");
    assert_eq!(
        error_message(x.conv2d(&spec, &w, Some(&zeros64(&[5])), false)),
        "conv2d: expected a bias [6], got shape [5]"
    );
    let far = Padding { top: usize::MAX / 8, bottom: usize::MAX / 8, ..Padding::all(1) };
    assert!(
        error_message(x.conv2d(&Conv2d { padding: far, ..spec }, &w, None, false))
            .starts_with("conv2d: expected a number of values")
    );

    let wrong = "conv2d backward: expected a gradient [2, 3, 3, 6], got shape [2, 3, 6]";
    assert_eq!(error_message(zeros64(&[2, 3, 6]).conv2d_dx(&spec, &[2, 5, 5, 4], &w)), wrong);
    assert_eq!(error_message(zeros64(&[2, 3, 6]).conv2d_dw(&spec, &x, &[6, 3, 3, 4])), wrong);
}
