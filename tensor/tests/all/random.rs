//! The random values of a stream: distribution and independence.

use alexnet_tensor::random::{Stream, purpose, to_normals};
use proptest::prelude::*;

/// The correlation of two samples.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let center = |v: &[f64]| v.iter().map(|x| x - mean(v)).collect::<Vec<_>>();
    let (a, b) = (center(a), center(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

proptest! {
    /// Values at any distance have no correlation: neither those of one pair of words nor those of one block.
    #[test]
    fn normals_are_independent(seed: u64, step: u64, distance in 1usize..9) {
        let n = 2_000;
        let stream = Stream::new(seed, purpose::USER, step);
        let values: Vec<f64> = (0..n + distance as u64).map(|i| stream.normal(i)).collect();
        let all = correlation(&values[..n as usize], &values[distance..]);
        // Five standard deviations.
        prop_assert!(all.abs() < 5.0 / (n as f64).sqrt(), "{all}");
        let even: Vec<f64> = values.iter().step_by(2).copied().take(n as usize / 2).collect();
        let odd: Vec<f64> = values.iter().skip(1).step_by(2).copied().take(n as usize / 2).collect();
        let pairs = correlation(&even, &odd);
        prop_assert!(pairs.abs() < 5.0 / (n as f64 / 2.0).sqrt(), "{pairs}");
    }

    /// The definition: radius and angle of a point in the plane.
    #[test]
    fn a_pair_of_normals_has_the_radius_and_the_angle_of_its_words(words: [u32; 2]) {
        let [x, y] = to_normals(words);
        let u = (f64::from(words[0]) + 0.5) / 4_294_967_296.0;
        let turn = f64::from(words[1]) / 4_294_967_296.0;
        prop_assert!((x.hypot(y) - (-2.0 * u.ln()).sqrt()).abs() < 1e-9);
        let angle = y.atan2(x) / std::f64::consts::TAU;
        // The shorter way round.
        let difference = 0.5 - ((angle - turn).rem_euclid(1.0) - 0.5).abs();
        prop_assert!(x.hypot(y) < 1e-6 || difference < 1e-9, "{angle} {turn}");
    }

    #[test]
    fn no_two_neighbours_are_equal(seed: u64) {
        let stream = Stream::new(seed, purpose::INIT, 0);
        for i in 0..200 {
            prop_assert_ne!(stream.normal(i), stream.normal(i + 1));
        }
    }

    #[test]
    fn a_permutation_holds_each_number_once(seed: u64, n in 0u32..300) {
        let mut order = Stream::new(seed, purpose::SHUFFLE, 1).permutation(n);
        order.sort_unstable();
        prop_assert!(order.into_iter().eq(0..n));
    }

    #[test]
    fn integers_lie_below_the_limit(seed: u64, index in 0..1u64 << 34, n in 1u32..) {
        prop_assert!(Stream::new(seed, purpose::USER, 0).below(index, n) < n);
    }
}

#[test]
fn permutations_put_each_number_everywhere_equally_often() {
    let n = 5;
    let draws = 20_000u32;
    let mut counts = [[0u32; 5]; 5];
    for step in 0..draws {
        let order = Stream::new(3, purpose::SHUFFLE, u64::from(step)).permutation(n);
        order.iter().enumerate().for_each(|(place, &number)| counts[place][number as usize] += 1);
    }
    let expected = f64::from(draws) / 5.0;
    for count in counts.into_iter().flatten() {
        // Five standard deviations.
        assert!((f64::from(count) - expected).abs() < 5.0 * (expected * 0.8).sqrt(), "{counts:?}");
    }
}
