//! Reductions against plain loops.

use alexnet_tensor::{Cpu, Element};
use proptest::prelude::*;

use crate::support::*;

fn column_sums(c: usize, x: &[f64]) -> Vec<f64> {
    (0..c).map(|k| x.iter().skip(k).step_by(c).sum()).collect()
}

/// The sums of columns and the sum of all values.
fn sums<E: Element>(cpu: &Cpu<E>, rows: usize, c: usize, x: &[f64]) -> [Vec<f64>; 2] {
    let x = tensor_on(cpu, &[rows, c], x);
    [x.sum_rows(), x.sum()].map(|sums| host(&sums.unwrap()))
}

fn check_sums(rows: usize, c: usize, seed: u64) {
    let x = values(seed, rows * c);
    // Sums of values in [-2, 2) may be near 0: the error is relative to the root of the count.
    let scale = |count: usize| (count as f64).sqrt().max(1.0);
    let total: f64 = x.iter().sum();
    let expected = column_sums(c, &x);
    for ([sums, sum], tolerance) in [(sums(cpu64(), rows, c, &x), 1e-14), (sums(cpu32(), rows, c, &x), 1e-6)] {
        assert_close(&sums, &expected, tolerance * scale(rows));
        assert_close(&sum, &[total], tolerance * scale(rows * c));
    }
}

proptest! {
    #[test]
    fn sums_equal_plain_loops(rows in 0usize..300, c in 1usize..50, seed: u64) {
        check_sums(rows, c, seed);
    }

    #[test]
    fn sum_first_equals_plain_loops(shape in [1usize..80, 1usize..6, 1usize..6], seed: u64) {
        let [a, b, c] = shape;
        let x = values(seed, a * b * c);
        let sums = tensor64(&shape, &x).sum_first().unwrap();
        prop_assert_eq!(sums.shape(), &[b, c]);
        assert_close(&host(&sums), &column_sums(b * c, &x), 1e-12);
    }

    /// The first of equal values is the largest, and NaN is larger than all others.
    #[test]
    fn max_and_argmax_equals_plain_loops(
        rows in 0usize..20, c in 1usize..9, draw in prop::collection::vec(-3i8..4, 180),
    ) {
        let x: Vec<f64> = draw[..rows * c].iter().map(|&v| if v == 3 { f64::NAN } else { f64::from(v) }).collect();
        let key = |v: f64| if v.is_nan() { f64::INFINITY } else { v };
        let places: Vec<u32> = x.chunks(c).map(|row| {
            (0..c).rev().max_by(|&a, &b| key(row[a]).total_cmp(&key(row[b]))).unwrap() as u32
        }).collect();
        let (values, got) = tensor32(&[rows, c], &x).max_and_argmax().unwrap();
        prop_assert_eq!(values.shape(), &[rows]);
        prop_assert_eq!(got.to_vec().unwrap(), places.clone());
        for ((got, row), place) in host(&values).iter().zip(x.chunks(c)).zip(places) {
            let expected = row[place as usize];
            prop_assert!(*got == expected || (got.is_nan() && expected.is_nan()));
        }
    }
}

#[test]
fn long_and_wide_sums_equal_plain_loops() {
    for (rows, c) in [(1, 1), (0, 3), (65, 2), (129, 3000), (20_000, 7), (100_000, 1), (2, 5000)] {
        check_sums(rows, c, 3);
    }
}

/// Adding 0.1 a million times, one after the other, has an error of 1 % in single precision.
#[test]
fn single_precision_keeps_its_digits_over_a_million_values() {
    let x = vec![0.1; 1_000_000];
    let expected = f64::from(0.1f32) * 1e6;
    let sum = tensor32(&[1_000_000], &x).sum().unwrap().scalar().unwrap();
    assert!((sum / expected - 1.0).abs() < 1e-6, "{sum}");
    for c in [1, 4, 100] {
        for sum in host(&tensor32(&[1_000_000 / c, c], &x).sum_rows().unwrap()) {
            assert!((sum * c as f64 / expected - 1.0).abs() < 5e-6, "{sum} of {c}");
        }
    }
}

#[test]
fn mean_divides_by_the_count() {
    assert_eq!(tensor64(&[2, 2], &[1.0, 2.0, 3.0, 6.0]).mean().unwrap().scalar().unwrap(), 3.0);
}

#[test]
fn infinities_and_nan_are_found_at_any_index() {
    let len = 40_000;
    let finite = vec![f64::from(f32::MAX); len];
    assert!(tensor32(&[len], &finite).all_finite().unwrap());
    assert!(tensor32(&[0], &[]).all_finite().unwrap());
    for place in [0, 1, 16_383, 16_384, len - 1] {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut x = finite.clone();
            x[place] = bad;
            assert!(!tensor32(&[len], &x).all_finite().unwrap(), "{bad} at {place}");
        }
    }
}

#[test]
fn an_empty_last_axis_is_refused() {
    assert_shape_error(tensor64(&[3, 0], &[]).sum_rows(), "reduce");
    assert_shape_error(tensor64(&[3, 0], &[]).max_and_argmax(), "reduce");
}

#[test]
fn sum_first_needs_two_axes() {
    assert_shape_error(tensor64(&[3], &[0.0; 3]).sum_first(), "sum_first");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let mut results = Vec::new();
        for (rows, c) in [(100_000, 1), (3001, 33), (130, 3001)] {
            let x = tensor_on(cpu, &[rows, c], &values(9, rows * c));
            results
                .extend([x.sum(), x.sum_rows(), x.max_and_argmax().map(|m| m.0)].map(|t| t.unwrap().to_vec().unwrap()));
        }
        results
    }
    assert_same_bits(work, work);
}
