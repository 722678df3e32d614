//! Sums and maxima.

use crate::compare::{activations, assert_near, bits, exact, host, weights};
use crate::devices::Tested;
use crate::support::values;

/// Lengths of no values, of partial vectors, of one block of threads and more, and of several parts.
const LENGTHS: [usize; 8] = [0, 1, 3, 256, 2048, 8192, 8209, 300_007];
/// Rows and columns: one of either; fewer columns than a vector; those of the paper; primes; more columns than a tile
/// and than a block of threads; rows for several parts.
const SHAPES: [[usize; 2]; 16] = [
    [0, 5],
    [1, 1],
    [1, 7],
    [3, 1],
    [9001, 1],
    [7, 2],
    [50_021, 3],
    [3025, 96],
    [729, 256],
    [128, 1000],
    [61, 97],
    [1200, 12],
    [40, 1028],
    [2, 5000],
    [5, 4096],
    [257, 260],
];

fn magnitude(x: &[f64]) -> f64 {
    x.iter().map(|v| v.abs()).sum()
}

/// The error of rounding the input and the sum.
fn tolerance<B: Tested>(device: &B) -> f64 {
    device.product_tolerance()
}

pub fn sum<B: Tested>(device: &B) {
    for len in LENGTHS {
        let x = values(len as u64, len);
        let expected = exact(&[len], &x).sum().expect("the CPU").to_vec().expect("values");
        for x in [activations(device, &[len], &x), weights(device, &[len], &x)] {
            assert_near(&host(&x.sum().expect("a launch")), &expected, |_| magnitude(&host(&x)), tolerance(device));
        }
    }
    let infinite = host(&activations(device, &[3], &[1.0, f64::INFINITY, 2.0]).sum().expect("a launch"));
    assert_eq!(infinite, [f64::INFINITY]);
    let nan = host(&activations(device, &[3], &[1.0, f64::INFINITY, f64::NEG_INFINITY]).sum().expect("a launch"));
    assert!(nan[0].is_nan());
}

fn check_rows<B: Tested>(device: &B, [rows, c]: [usize; 2]) {
    let x = values((rows * 7 + c) as u64, rows * c);
    let expected = exact(&[rows, c], &x).sum_rows().expect("the CPU").to_vec().expect("values");
    let column = |i: usize| (0..rows).map(|r| x[r * c + i].abs()).sum();
    for x in [activations(device, &[rows, c], &x), weights(device, &[rows, c], &x)] {
        assert_near(&host(&x.sum_rows().expect("a launch")), &expected, column, tolerance(device));
    }
}

pub fn sum_rows<B: Tested>(device: &B) {
    SHAPES.into_iter().for_each(|shape| check_rows(device, shape));
    if crate::devices::full_size() {
        [[128 * 55 * 55, 96], [128 * 27 * 27, 256], [128, 4096]].into_iter().for_each(|s| check_rows(device, s));
    }
}

pub fn sum_first<B: Tested>(device: &B) {
    let x = values(8, 37 * 5 * 3);
    let sums = activations(device, &[37, 5, 3], &x).sum_first().expect("a launch");
    assert_eq!(sums.shape(), [5, 3]);
    let expected = exact(&[37, 5, 3], &x).sum_first().expect("the CPU").to_vec().expect("values");
    assert_near(&host(&sums), &expected, |_| 2.0 * 37.0, tolerance(device));
}

pub fn max_and_argmax<B: Tested>(device: &B) {
    for [rows, c] in SHAPES {
        // Few different values, each exact in every format: equals in each row.
        let x: Vec<f64> = values(c as u64, rows * c).iter().map(|v| (v * 8.0).round() / 8.0).collect();
        check_maxima(device, [rows, c], &x);
    }
    let nan = f64::NAN;
    let inf = f64::INFINITY;
    check_maxima(device, [2, 3], &[-inf, -inf, -inf, -1.0, inf, inf]);
    check_maxima(device, [4, 3], &[inf, nan, nan, nan, inf, 1.0, 0.0, -0.0, 0.0, -0.0, 0.0, -1.0]);
}

fn check_maxima<B: Tested>(device: &B, shape: [usize; 2], x: &[f64]) {
    let (values, places) = activations(device, &shape, x).max_and_argmax().expect("a launch");
    let (best, expected) = exact(&shape, x).max_and_argmax().expect("the CPU");
    assert_eq!(places.to_vec().expect("values"), expected.to_vec().expect("values"), "{shape:?}");
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    assert!(host(&values).iter().zip(&best.to_vec().expect("values")).all(same), "{shape:?}");
}

pub fn all_finite<B: Tested>(device: &B) {
    for len in LENGTHS {
        let mut x = values(1, len);
        assert!(activations(device, &[len], &x).all_finite().expect("a launch"), "len {len}");
        for (place, bad) in [(0, f64::NAN), (len / 2, f64::INFINITY), (len.max(1) - 1, f64::NEG_INFINITY)] {
            if len > 0 {
                let good = std::mem::replace(&mut x[place], bad);
                assert!(!activations(device, &[len], &x).all_finite().expect("a launch"), "{bad} at {place} of {len}");
                x[place] = good;
            }
        }
    }
    let largest = weights(device, &[2], &[f64::from(f32::MAX), f64::from(f32::MIN)]);
    assert!(largest.all_finite().expect("a launch"));
}

pub fn same_bits<B: Tested>(device: &B) {
    let x = activations(device, &[3001, 100], &values(1, 300_100));
    let all = bits(&x.sum().expect("a launch"));
    let rows = bits(&x.sum_rows().expect("a launch"));
    for _ in 0..3 {
        assert_eq!(bits(&x.sum().expect("a launch")), all);
        assert_eq!(bits(&x.sum_rows().expect("a launch")), rows);
    }
}
