//! Sums, differences, products and scaling.

use crate::compare::{activations, assert_near, exact, host, weights};
use crate::devices::Tested;
use crate::support::values;

/// Lengths of no values, of whole and partial vectors, of one block of threads and more.
const LENGTHS: [usize; 7] = [0, 1, 2, 7, 256, 1000, 70_001];

pub fn binary<B: Tested>(device: &B) {
    for len in LENGTHS {
        let a = values(1, len);
        let b = values(2, len);
        let x = activations(device, &[len], &a);
        let y = activations(device, &[len], &b);
        let ex = exact(&[len], &a);
        let ey = exact(&[len], &b);
        let scale = |i: usize| a[i].abs() + b[i].abs() + (a[i] * b[i]).abs();
        let results =
            [(x.add(&y), ex.add(&ey)), (x.subtract(&y), ex.subtract(&ey)), (x.multiply(&y), ex.multiply(&ey))];
        for (got, expected) in results {
            let expected = expected.expect("the CPU").to_vec().expect("values");
            assert_near(&host(&got.expect("a launch")), &expected, scale, 2.0 * device.value_tolerance());
        }
        // Weights plus activations: the only error is the rounding of the activations.
        let mixed = host(&weights(device, &[len], &a).add(&y).expect("a launch"));
        assert_near(&mixed, &ex.add(&ey).expect("the CPU").to_vec().expect("values"), scale, device.value_tolerance());
    }
}

pub fn add_scaled<B: Tested>(device: &B) {
    for len in LENGTHS {
        let a = values(3, len);
        let b = values(4, len);
        let mut expected = exact(&[len], &a);
        expected.add_scaled(-0.3, &exact(&[len], &b)).expect("the CPU");
        let expected = expected.to_vec().expect("values");
        let x = [activations(device, &[len], &b), weights(device, &[len], &b)];
        for mut y in [activations(device, &[len], &a), weights(device, &[len], &a)] {
            for (x, times) in x.iter().zip([1.0, 2.0]) {
                y.add_scaled(-0.3, x).expect("a launch");
                let expected: Vec<f64> = expected.iter().zip(&a).map(|(e, a)| a + times * (e - a)).collect();
                assert_near(&host(&y), &expected, |i| a[i].abs() + b[i].abs(), 3.0 * device.value_tolerance());
            }
        }
    }
}

pub fn mul_add_scalar<B: Tested>(device: &B) {
    for len in LENGTHS {
        let x = values(5, len);
        let y = host(&activations(device, &[len], &x).mul_add_scalar(1.7, -0.9).expect("a launch"));
        let expected = exact(&[len], &x).mul_add_scalar(1.7, -0.9).expect("the CPU").to_vec().expect("values");
        assert_near(&y, &expected, |i| 1.7 * x[i].abs() + 0.9, device.value_tolerance());
    }
    let special = activations(device, &[3], &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    let y = host(&special.scale(-2.0).expect("a launch"));
    assert!(y[0].is_nan() && y[1] == f64::NEG_INFINITY && y[2] == f64::INFINITY, "scaled: {y:?}");
}

/// A kernel that writes in place does not change shared tensors.
pub fn in_place_copies_shared_tensors<B: Tested>(device: &B) {
    let x = values(6, 1000);
    let before = activations(device, &[1000], &x);
    let mut after = before.clone();
    let unchanged = host(&before);
    after.add_scaled(1.0, &before).expect("a launch");
    assert_eq!(host(&before), unchanged);
    assert_ne!(host(&after), unchanged);
}
