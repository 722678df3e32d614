//! Elementwise operations on two tensors, and scaling.

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
        let results = [
            (x.add(&y), ex.add(&ey)),
            (x.subtract(&y), ex.subtract(&ey)),
            (x.multiply(&y), ex.multiply(&ey)),
            (x.minimum(&y), ex.minimum(&ey)),
            (x.maximum(&y), ex.maximum(&ey)),
        ];
        for (got, expected) in results {
            let expected = expected.expect("the CPU").to_vec().expect("values");
            assert_near(&host(&got.expect("a launch")), &expected, scale, 2.0 * device.value_tolerance());
        }
        // Weights plus activations: the only error is the rounding of the activations.
        let mixed = host(&weights(device, &[len], &a).add(&y).expect("a launch"));
        assert_near(&mixed, &ex.add(&ey).expect("the CPU").to_vec().expect("values"), scale, device.value_tolerance());
    }
}

/// The divisors are away from 0.
pub fn quotients_and_masks<B: Tested>(device: &B) {
    for len in LENGTHS {
        // Few different values, exact in every format: some are equal.
        let a: Vec<f64> = values(1, len).iter().map(|v| (v * 4.0).round() / 4.0).collect();
        let b: Vec<f64> = values(2, len).iter().map(|v| (v * 4.0).round() / 4.0 + 2.5).collect();
        let c: Vec<f64> = b.iter().map(|v| v - 2.5).collect();
        let [x, y, z] = [&a, &b, &c].map(|values| activations(device, &[len], values));
        let [ex, ey, ez] = [&a, &b, &c].map(|values| exact(&[len], values));
        let quotients = ex.divide(&ey).expect("the CPU").to_vec().expect("values");
        let scale = |i: usize| a[i].abs() / b[i];
        assert_near(&host(&x.divide(&y).expect("a launch")), &quotients, scale, 2.0 * device.value_tolerance());
        let mask = ex.less(&ez).expect("the CPU").to_vec().expect("values");
        assert_eq!(host(&x.less(&z).expect("a launch")), mask);
    }
    let a = activations(device, &[6], &[f64::NAN, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0]);
    let b = activations(device, &[6], &[1.0, f64::NAN, f64::NAN, 2.0, 2.0, 0.0]);
    for [a, b] in [[&a, &b], [&b, &a]] {
        for y in [a.minimum(b), a.maximum(b)].map(|y| host(&y.expect("a launch"))) {
            assert!(y[..3].iter().all(|v| v.is_nan()) && y[3..].iter().all(|v| !v.is_nan()), "{y:?}");
        }
        assert_eq!(host(&a.less(b).expect("a launch"))[..3], [0.0; 3]);
    }
    assert_eq!(host(&a.maximum(&b).expect("a launch"))[3..], [f64::INFINITY, 2.0, 1.0]);
    assert_eq!(host(&a.minimum(&b).expect("a launch"))[3..], [2.0, f64::NEG_INFINITY, 0.0]);
    assert_eq!(host(&a.divide(&b).expect("a launch"))[3..], [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY]);
}

/// Rows, columns, planes and scalars that are repeated; axes of length 1 and 0; more values than a block of threads.
pub fn broadcasting<B: Tested>(device: &B) {
    let shapes: [[&[usize]; 2]; 9] = [
        [&[5, 7], &[7]],
        [&[5, 7], &[5, 1]],
        [&[5, 1], &[1, 7]],
        [&[3, 4, 5, 8], &[4, 1, 8]],
        [&[2, 1, 3, 1, 5], &[4, 1, 5, 1]],
        [&[70_001], &[]],
        [&[1], &[513]],
        [&[0, 3], &[1, 3]],
        [&[1, 1], &[1]],
    ];
    for shape in shapes {
        let [a, b] = [0, 1].map(|i| values(i as u64, shape[i].iter().product()));
        let [x, y] = [(0, &a), (1, &b)].map(|(i, values)| activations(device, shape[i], values));
        let [ex, ey] = [(0, &a), (1, &b)].map(|(i, values)| exact(shape[i], values));
        let results = [
            (x.add(&y), ex.add(&ey)),
            (y.subtract(&x), ey.subtract(&ex)),
            (x.multiply(&y), ex.multiply(&ey)),
            (y.maximum(&x), ey.maximum(&ex)),
            // Weights with activations.
            (weights(device, shape[0], &a).minimum(&y), ex.minimum(&ey)),
        ];
        for (got, expected) in results.map(|(got, expected)| (got.expect("a launch"), expected.expect("the CPU"))) {
            assert_eq!(got.shape(), expected.shape());
            assert_near(&host(&got), &expected.to_vec().expect("values"), |_| 4.0, 2.0 * device.value_tolerance());
        }
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
