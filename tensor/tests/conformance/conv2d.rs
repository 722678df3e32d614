//! Convolutions.

use alexnet_tensor::Tensor;
use alexnet_tensor::ops::{Conv2d, Padding};
use proptest::prelude::*;

use crate::common::{Case, Values, cases};
use crate::compare::{activations, assert_near, bits, exact, host, weights};
use crate::devices::{Tested, full_size};

/// y with bias, dx, dw.
fn run<B: Tested>(device: &B, case: &Case, relu: bool, v: &Values) -> [Tensor<B>; 3] {
    let x = activations(device, &case.x, &v.x);
    let w = weights(device, &case.w, &v.w);
    let b = weights(device, &case.w[..1], &v.b);
    let dy = activations(device, &case.y(), &v.dy);
    let y = x.conv2d(&case.spec, &w, Some(&b), relu).expect("a launch");
    let dx = dy.conv2d_dx(&case.spec, &case.x, &w).expect("a launch");
    let dw = dy.conv2d_dw(&case.spec, &x, &case.w).expect("a launch");
    [y, dx, dw]
}

/// The same in double precision on the CPU.
fn reference(case: &Case, relu: bool, v: &Values) -> [Vec<f64>; 3] {
    let x = exact(&case.x, &v.x);
    let w = exact(&case.w, &v.w);
    let b = exact(&case.w[..1], &v.b);
    let dy = exact(&case.y(), &v.dy);
    let y = x.conv2d(&case.spec, &w, Some(&b), relu).expect("the CPU");
    let dx = dy.conv2d_dx(&case.spec, &case.x, &w).expect("the CPU");
    let dw = dy.conv2d_dw(&case.spec, &x, &case.w).expect("the CPU");
    [y, dx, dw].map(|t| t.to_vec().expect("values"))
}

fn check<B: Tested>(device: &B, case: &Case, relu: bool, seed: u64) {
    let v = Values::conv(case, seed);
    let sums = reference(case, relu, &v.absolute());
    let expected = reference(case, relu, &v);
    for ((got, expected), sums) in run(device, case, relu, &v).iter().zip(&expected).zip(&sums) {
        assert_near(&host(got), expected, |i| sums[i], device.product_tolerance());
    }
}

pub fn any_shape<B: Tested>(device: &B) {
    proptest!(ProptestConfig::with_cases(40), |(case in cases(9), relu: bool, seed: u64)| {
        check(device, &case, relu, seed);
    });
}

/// Channels that fill vectors and exceed a tile, kernels of one pixel, strides longer than the kernel.
pub fn channels<B: Tested>(device: &B) {
    let padded = Conv2d { padding: Padding::all(1), ..Conv2d::default() };
    let asymmetric = Padding { top: 0, bottom: 3, left: 2, right: 1 };
    let listed = [
        Case { spec: padded, x: [2, 7, 6, 8], w: [12, 3, 3, 8] },
        Case { spec: Conv2d { groups: 2, ..padded }, x: [2, 9, 9, 16], w: [24, 3, 3, 8] },
        Case { spec: Conv2d::default(), x: [3, 5, 5, 36], w: [70, 1, 1, 36] },
        Case { spec: Conv2d { groups: 3, ..Conv2d::default() }, x: [2, 4, 4, 18], w: [21, 1, 1, 6] },
        Case { spec: Conv2d { stride: [4, 4], padding: asymmetric, ..padded }, x: [2, 32, 31, 3], w: [16, 11, 11, 3] },
        Case { spec: Conv2d { stride: [3, 5], ..padded }, x: [2, 13, 17, 4], w: [8, 2, 2, 4] },
        Case { spec: Conv2d { padding: Padding::all(4), ..padded }, x: [1, 1, 1, 4], w: [4, 5, 5, 4] },
    ];
    for (i, case) in listed.iter().enumerate() {
        check(device, case, i % 2 == 1, i as u64);
    }
}

/// Enough pixels to split the sums of dw.
pub fn many_pixels<B: Tested>(device: &B) {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    check(device, &Case { spec, x: [3, 20, 19, 8], w: [8, 3, 3, 4] }, false, 1);
}

pub fn no_images<B: Tested>(device: &B) {
    let case = Case { x: [0, 5, 5, 4], w: [6, 3, 3, 2], spec: Conv2d { groups: 2, ..Conv2d::default() } };
    let [y, dx, dw] = run(device, &case, false, &Values::conv(&case, 1));
    assert!(y.is_empty() && dx.is_empty());
    assert_eq!(host(&dw), vec![0.0; 6 * 3 * 3 * 2]);
}

pub fn same_bits<B: Tested>(device: &B) {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    let case = Case { spec, x: [3, 20, 19, 8], w: [8, 3, 3, 4] };
    let v = Values::conv(&case, 2);
    let run_bits = || run(device, &case, false, &v).map(|t| bits(&t));
    assert!(run_bits() == run_bits(), "two runs differ");
}

/// conv1 to conv5 of the paper.
pub fn layers_of_the_paper<B: Tested>(device: &B) {
    if !full_size() {
        return;
    }
    let layer = |stride, padding, groups, x: [usize; 2], w: [usize; 2]| Case {
        spec: Conv2d { stride: [stride; 2], padding: Padding::all(padding), groups },
        x: [4, x[0], x[0], x[1]],
        w: [w[0], w[1], w[1], x[1] / groups],
    };
    let layers = [
        layer(4, 0, 1, [227, 3], [96, 11]),
        layer(1, 2, 2, [27, 96], [256, 5]),
        layer(1, 1, 1, [13, 256], [384, 3]),
        layer(1, 1, 2, [13, 384], [384, 3]),
        layer(1, 1, 2, [13, 384], [256, 3]),
    ];
    for (i, case) in layers.iter().enumerate() {
        check(device, case, i % 2 == 1, i as u64);
    }
}
