//! Fused local response normalisation and max-pooling.

use alexnet_tensor::IntTensor;
use alexnet_tensor::ops::lrn_pool::Saved;
use alexnet_tensor::ops::{Lrn, Region};
use proptest::prelude::*;

use super::lrn::scales;
use super::pool::{Case, cases, chosen};
use crate::compare::{activations, assert_near, exact, host};
use crate::devices::Tested;
use crate::support::{cpu64, values};

fn each(check: impl Fn(&Case, &Lrn, u64)) {
    let spec = |size| Lrn { size, alpha: 0.3, k: 1.5, ..Lrn::paper() };
    for (i, case) in chosen().iter().enumerate() {
        check(case, &spec(1 + i % 9), i as u64);
        check(case, &Lrn::paper(), i as u64);
    }
    let wide = Case { x: [1, 5, 5, 1100], ..chosen()[0].clone() };
    check(&wide, &spec(5), 1);
    check(&chosen()[0], &Lrn { region: Region::WithinChannel, ..spec(3) }, 1);
    check(&chosen()[5], &spec(30), 1);
    proptest!(ProptestConfig::with_cases(32), |(case in cases(), size in 1usize..10, seed: u64)| {
        check(&case, &spec(size), seed);
    });
}

/// A position must be the maximum's, or that of a value that differs from it by rounding only.
pub fn forward<B: Tested>(device: &B) {
    each(|case, spec, seed| {
        let len = case.x.iter().product();
        let x = values(seed, len);
        let (y, saved) = activations(device, &case.x, &x).lrn_max_pool(spec, &case.spec).expect("a launch");
        let (expected, _) = exact(&case.x, &x).lrn_max_pool(spec, &case.spec).expect("the CPU");
        assert_eq!(y.shape(), expected.shape());
        let expected = expected.to_vec().expect("values");
        let tolerance = 3.0 * device.value_tolerance();
        // No value is larger than 2, nor the factor than k^-0.75.
        let scale = 2.0 * spec.k.powf(-0.75);
        assert_near(&host(&y), &expected, |_| scale, tolerance);
        let normal = exact(&case.x, &x).lrn(spec).expect("the CPU").0.to_vec().expect("values");
        let c = case.x[3];
        let outputs = case.y()[1..].iter().product::<usize>();
        for (i, position) in saved.positions.to_vec().expect("a download").into_iter().enumerate() {
            let image = i / outputs * case.x[1] * case.x[2];
            let found = normal[(image + position as usize) * c + i % c];
            assert!((found - expected[i]).abs() <= 2.0 * tolerance * scale, "{case:?}: {found} at {position}");
        }
    });
}

pub fn backward<B: Tested>(device: &B) {
    each(|case, spec, seed| {
        let x = values(seed, case.x.iter().product());
        let dy = values(seed ^ 1, case.y().iter().product());
        let on_x = activations(device, &case.x, &x);
        let (_, saved) = on_x.lrn_max_pool(spec, &case.spec).expect("a launch");
        let dx =
            activations(device, &case.y(), &dy).lrn_max_pool_dx(spec, &case.spec, &on_x, &saved).expect("a launch");

        // With the device's own positions: near ties are no error.
        let positions =
            IntTensor::from_slice(cpu64(), &saved.positions.to_vec().expect("a download")).expect("an upload");
        let dnormal = |dy: &[f64]| {
            let dnormal = exact(&case.y(), dy).pool_dx(&case.spec, &case.x, Some(&positions)).expect("the CPU");
            dnormal.to_vec().expect("values")
        };
        let x64 = exact(&case.x, &x);
        let saved = Saved { base: Some(x64.lrn(spec).expect("the CPU").1), positions: positions.clone() };
        let expected = exact(&case.y(), &dy).lrn_max_pool_dx(spec, &case.spec, &x64, &saved).expect("the CPU");
        let absolute: Vec<f64> = dy.iter().map(|v| v.abs()).collect();
        let [_, _, scale] = scales(spec, case.x, &x, &dnormal(&absolute));
        assert_near(&host(&dx), &expected.to_vec().expect("values"), |i| scale[i], 4.0 * device.value_tolerance());
    });
}

/// Compares with the device's own dx, through the ReLU and summed in double precision.
pub fn backward_through_a_relu<B: Tested>(device: &B) {
    each(|case, spec, seed| {
        let x: Vec<f64> = values(seed, case.x.iter().product()).iter().map(|v| v.max(0.0)).collect();
        let dy = values(seed ^ 1, case.y().iter().product());
        let x = activations(device, &case.x, &x);
        let (_, saved) = x.lrn_max_pool(spec, &case.spec).expect("a launch");
        let dy = activations(device, &case.y(), &dy);
        let (dx, sums) = dy.lrn_max_pool_relu_bias_dx(spec, &case.spec, &x, &saved).expect("a launch");
        let own = host(&dy.lrn_max_pool_dx(spec, &case.spec, &x, &saved).expect("a launch"));
        let cut: Vec<f64> = own.iter().zip(host(&x)).map(|(&dx, x)| if x > 0.0 { dx } else { 0.0 }).collect();
        assert_eq!(host(&dx), cut, "{case:?}");
        let c = case.x[3];
        let of = |channel: usize| cut.iter().skip(channel).step_by(c);
        let expected: Vec<f64> = (0..c).map(|channel| of(channel).sum()).collect();
        let scale: Vec<f64> = (0..c).map(|channel| of(channel).map(|v| v.abs()).sum()).collect();
        assert_near(&host(&sums), &expected, |i| scale[i], 4.0 * device.product_tolerance());
    });
}

pub fn matches_the_two_operations<B: Tested>(device: &B) {
    each(|case, spec, seed| {
        let x = activations(device, &case.x, &values(seed, case.x.iter().product()));
        let (y, _) = x.lrn_max_pool(spec, &case.spec).expect("a launch");
        let (normal, _) = x.lrn(spec).expect("a launch");
        let (expected, _) = normal.pool(&case.spec).expect("a launch");
        let expected = host(&expected);
        assert_near(&host(&y), &expected, |i| expected[i].abs(), device.value_tolerance());
    });
}

pub fn same_bits<B: Tested>(device: &B) {
    let case = &chosen()[5];
    let spec = Lrn::paper();
    let run = || {
        let x = activations(device, &case.x, &values(1, case.x.iter().product()));
        let (y, saved) = x.lrn_max_pool(&spec, &case.spec).expect("a launch");
        let dy = activations(device, &case.y(), &values(2, case.y().iter().product()));
        let dx = dy.lrn_max_pool_dx(&spec, &case.spec, &x, &saved).expect("a launch");
        ([y, dx].map(|t| t.to_vec().expect("a download")), saved.positions.to_vec().expect("a download"))
    };
    assert_eq!(run(), run());
}
