//! Locally connected layers.

use alexnet_tensor::Tensor;
use alexnet_tensor::ops::{Conv2d, Padding};
use proptest::prelude::*;

use crate::common::{Case, absolute, cases, len};
use crate::compare::{assert_near, exact, flowing, host, on};
use crate::devices::Tested;
use crate::linear::bits;
use crate::support::values;

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

/// y with bias, dx, dw.
fn run<B: Tested>(device: &B, case: &Case, [x, w, b, dy]: &[Vec<f64>; 4]) -> [Tensor<B>; 3] {
    let (w_shape, b_shape) = weights(case);
    let x = flowing(device, &case.x, x);
    let w = on(device, &w_shape, w);
    let b = on(device, &b_shape, b);
    let dy = flowing(device, &case.y(), dy);
    let y = x.local2d(&case.spec, &w, Some(&b)).expect("a launch");
    let dx = dy.local2d_dx(&case.spec, &case.x, &w).expect("a launch");
    let dw = dy.local2d_dw(&case.spec, &x, &w_shape).expect("a launch");
    [y, dx, dw]
}

fn reference(case: &Case, [x, w, b, dy]: &[Vec<f64>; 4]) -> [Vec<f64>; 3] {
    let (w_shape, b_shape) = weights(case);
    let x = exact(&case.x, x);
    let w = exact(&w_shape, w);
    let b = exact(&b_shape, b);
    let dy = exact(&case.y(), dy);
    let y = x.local2d(&case.spec, &w, Some(&b)).expect("the CPU");
    let dx = dy.local2d_dx(&case.spec, &case.x, &w).expect("the CPU");
    let dw = dy.local2d_dw(&case.spec, &x, &w_shape).expect("the CPU");
    [y, dx, dw].map(|t| t.to_vec().expect("values"))
}

fn check<B: Tested>(device: &B, case: &Case, seed: u64) {
    let drawn = draw(case, seed);
    let sums = reference(case, &drawn.each_ref().map(|v| absolute(v)));
    let expected = reference(case, &drawn);
    for ((got, expected), sums) in run(device, case, &drawn).iter().zip(&expected).zip(&sums) {
        assert_near(&host(got), expected, |i| sums[i], device.products());
    }
}

pub fn any_shape<B: Tested>(device: &B) {
    proptest!(ProptestConfig::with_cases(24), |(case in cases(6), seed: u64)| check(device, &case, seed));
}

/// Channels in whole vectors, more images than a tile has rows.
pub fn channels<B: Tested>(device: &B) {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    check(device, &Case { spec, x: [3, 5, 4, 16], w: [24, 3, 3, 8] }, 1);
    check(device, &Case { spec, x: [70, 3, 2, 8], w: [8, 3, 3, 4] }, 2);
    let strided = Conv2d { stride: [2, 3], ..spec };
    check(device, &Case { spec: strided, x: [5, 7, 8, 8], w: [8, 3, 2, 4] }, 3);
}

pub fn no_images<B: Tested>(device: &B) {
    let case = Case { x: [0, 4, 4, 2], w: [3, 3, 3, 2], spec: Conv2d::default() };
    let [y, dx, dw] = run(device, &case, &draw(&case, 1));
    assert!(y.is_empty() && dx.is_empty());
    assert!(!dw.is_empty() && host(&dw).iter().all(|&v| v == 0.0));
}

pub fn same_bits<B: Tested>(device: &B) {
    let spec = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    let case = Case { spec, x: [9, 5, 5, 8], w: [8, 3, 3, 4] };
    let drawn = draw(&case, 2);
    let bits = || run(device, &case, &drawn).map(|t| bits(&t));
    assert!(bits() == bits(), "two runs differ");
}
