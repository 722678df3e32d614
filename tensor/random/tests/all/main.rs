//! Philox against its authors' answers, and the distributions made of it.

use std::collections::BTreeSet;

use alexnet_random::{Stream, philox, purpose, to_normals, to_uniform};
use proptest::prelude::*;

/// Known answers of the authors' Random123 library.
#[test]
fn known_answers() {
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    assert_eq!(
        philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

/// Mean, variance, correlation of neighbours at each parity, and fraction within a deviation of the mean.
#[test]
fn normals_are_independent_and_standard() {
    let stream = Stream::new(7, purpose::USER, 3);
    let n = 200_000;
    let values: Vec<f64> = (0..n).map(|i| stream.normal(i)).collect();
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|v| v * v).sum::<f64>() / n as f64;
    assert!(mean.abs() < 0.01, "mean {mean}");
    assert!((variance - 1.0).abs() < 0.01, "variance {variance}");
    let within = values.iter().filter(|v| v.abs() < 1.0).count() as f64 / n as f64;
    assert!((within - 0.6827).abs() < 0.005, "{within} within a deviation");
    // Values of a pair come from the same two words, those of neighbouring pairs from one block.
    for (first, distance) in [(0, 1), (1, 1), (0, 2), (1, 3)] {
        let pairs = (first..n as usize - distance).step_by(4).map(|i| values[i] * values[i + distance]);
        let correlation = 4.0 * pairs.sum::<f64>() / n as f64;
        assert!(correlation.abs() < 0.02, "from {first}, {distance} apart: {correlation}");
    }
    let different: BTreeSet<u64> = values.iter().map(|v| v.to_bits()).collect();
    assert!(different.len() > values.len() - 10, "{} of {n} values differ", different.len());
}

#[test]
fn integers_below_a_limit_are_uniform() {
    let stream = Stream::new(3, purpose::USER, 9);
    let mut counts = [0i32; 7];
    (0..70_000).for_each(|i| counts[stream.below(i, 7) as usize] += 1);
    // Standard deviation 93.
    assert!(counts.iter().all(|&n| (n - 10_000).abs() < 400), "{counts:?}");
}

/// Each number is at each place equally often.
#[test]
fn permutations_are_uniform() {
    let mut counts = [[0i32; 5]; 5];
    for step in 0..20_000 {
        let order = Stream::new(5, purpose::SHUFFLE, step).permutation(5);
        order.iter().enumerate().for_each(|(place, &number)| counts[place][number as usize] += 1);
    }
    // Standard deviation 57.
    assert!(counts.iter().flatten().all(|&n| (n - 4000).abs() < 250), "{counts:?}");
}

#[test]
fn values_differ_by_seed_purpose_step_and_index() {
    let base = Stream::new(1, 2, 3);
    let others = [
        Stream::new(2, 2, 3),
        Stream::new(1, 3, 3),
        Stream::new(1, 2, 4),
        Stream::new(1 << 40, 2, 3),
        Stream::new(1, 2, 3 | 1 << 40),
    ];
    for other in others {
        assert_ne!(base.block(0), other.block(0));
    }
    assert_ne!(base.block(0), base.block(1));
}

proptest! {
    /// A plain Philox in 64-bit arithmetic, as its paper writes it.
    #[test]
    fn rounds_are_those_of_the_paper(counter: [u32; 4], key: [u32; 2]) {
        let mut c = counter;
        let mut k = key;
        for _ in 0..10 {
            let first = u64::from(c[0]) * 0xD251_1F53;
            let second = u64::from(c[2]) * 0xCD9E_8D57;
            let words = [(second >> 32) as u32 ^ c[1] ^ k[0], second as u32, (first >> 32) as u32 ^ c[3] ^ k[1], first as u32];
            c = words;
            k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        }
        prop_assert_eq!(philox(counter, key), c);
    }

    #[test]
    fn values_of_an_index_are_those_of_its_block(seed: u64, purpose: u32, step: u64, index in 0..1u64 << 34, n in 1..u32::MAX) {
        let stream = Stream::new(seed, purpose, step);
        let words = stream.block((index / 4) as u32);
        let word = words[(index % 4) as usize];
        prop_assert_eq!(stream.word(index), word);
        prop_assert_eq!(stream.uniform(index), to_uniform(word));
        prop_assert!((0.0..1.0).contains(&stream.uniform(index)));
        prop_assert!(stream.below(index, n) < n);
        let half = (index % 4 / 2 * 2) as usize;
        let pair = to_normals([words[half], words[half + 1]]);
        prop_assert_eq!(stream.normal(index), pair[(index % 2) as usize]);
        prop_assert!(stream.normal(index).abs() < 6.7);
    }

    #[test]
    fn a_permutation_holds_each_number_once(seed: u64, step: u64, n in 0..500u32) {
        let mut order = Stream::new(seed, purpose::SHUFFLE, step).permutation(n);
        order.sort_unstable();
        prop_assert!(order.into_iter().eq(0..n));
    }
}
