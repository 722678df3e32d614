//! Locally connected layers.

use alexnet_tensor::Tensor;
use alexnet_tensor::ops::{Conv2d, Padding};
use proptest::prelude::*;

use crate::common::{Case, Values, cases};
use crate::compare::{activations, assert_near, bits, exact, host, weights};
use crate::devices::Tested;

/// y with bias, dx, dw.
fn run<B: Tested>(device: &B, case: &Case, v: &Values) -> [Tensor<B>; 3] {
    let x = activations(device, &case.x, &v.x);
    let w = weights(device, &case.local_w(), &v.w);
    let b = weights(device, &case.local_b(), &v.b);
    let dy = activations(device, &case.y(), &v.dy);
    let y = x.local2d(&case.spec, &w, Some(&b)).expect("a launch");
    let dx = dy.local2d_dx(&case.spec, &case.x, &w).expect("a launch");
    let dw = dy.local2d_dw(&case.spec, &x, &case.local_w()).expect("a launch");
    [y, dx, dw]
}

/// The same in double precision on the CPU.
fn reference(case: &Case, v: &Values) -> [Vec<f64>; 3] {
    let x = exact(&case.x, &v.x);
    let w = exact(&case.local_w(), &v.w);
    let b = exact(&case.local_b(), &v.b);
    let dy = exact(&case.y(), &v.dy);
    let y = x.local2d(&case.spec, &w, Some(&b)).expect("the CPU");
    let dx = dy.local2d_dx(&case.spec, &case.x, &w).expect("the CPU");
    let dw = dy.local2d_dw(&case.spec, &x, &case.local_w()).expect("the CPU");
    [y, dx, dw].map(|t| t.to_vec().expect("values"))
}

fn check<B: Tested>(device: &B, case: &Case, seed: u64) {
    let v = Values::local(case, seed);
    let sums = reference(case, &v.absolute());
    let expected = reference(case, &v);
    for ((got, expected), sums) in run(device, case, &v).iter().zip(&expected).zip(&sums) {
        assert_near(&host(got), expected, |i| sums[i], device.product_tolerance());
    }
}

pub fn any_shape<B: Tested>(device: &B) {
    proptest!(ProptestConfig::with_cases(24), |(case in cases(6), seed: u64)| check(device, &case, seed));
}

/// Channels that fill vectors, and more images than a tile has rows.
pub fn channels<B: Tested>(device: &B) {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    check(device, &Case { spec, x: [3, 5, 4, 16], w: [24, 3, 3, 8] }, 1);
    check(device, &Case { spec, x: [70, 3, 2, 8], w: [8, 3, 3, 4] }, 2);
    let strided = Conv2d { stride: [2, 3], ..spec };
    check(device, &Case { spec: strided, x: [5, 7, 8, 8], w: [8, 3, 2, 4] }, 3);
}

pub fn no_images<B: Tested>(device: &B) {
    let case = Case { x: [0, 4, 4, 2], w: [3, 3, 3, 2], spec: Conv2d::default() };
    let [y, dx, dw] = run(device, &case, &Values::local(&case, 1));
    assert!(y.is_empty() && dx.is_empty());
    assert!(!dw.is_empty() && host(&dw).iter().all(|&v| v == 0.0));
}

pub fn same_bits<B: Tested>(device: &B) {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    let case = Case { spec, x: [9, 5, 5, 8], w: [8, 3, 3, 4] };
    let v = Values::local(&case, 2);
    let run_bits = || run(device, &case, &v).map(|t| bits(&t));
    assert!(run_bits() == run_bits(), "two runs differ");
}
