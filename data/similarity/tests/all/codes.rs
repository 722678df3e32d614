//! Binary codes: their bits, their search, and the neighbours that they find.

use alexnet_similarity::ndarray::{Array2, ArrayView2, s};
use alexnet_similarity::{BinaryEncoder, Error, NeighbourSearch, recall};
use proptest::prelude::*;

/// Vectors around a few centres.
fn vectors(count: usize, length: usize, seed: usize) -> Array2<f32> {
    let hash = |n: usize| (n.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 7) % 1000;
    Array2::from_shape_fn((count, length), |(row, column)| {
        let centre = hash(row % 25 * 131 + column * 7919) as f32;
        centre + hash(row * 40_503 + column * 104_729) as f32 * 0.4
    })
}

fn exact(queries: ArrayView2<f32>, vectors: ArrayView2<f32>, count: usize) -> Vec<Vec<alexnet_similarity::Neighbour>> {
    let mut search = NeighbourSearch::new(queries.to_owned(), count).unwrap();
    search.add(vectors).unwrap();
    search.finish()
}

/// Codes of 32 bits find most of the neighbours, more than half of those of their length in random bits would.
#[test]
fn codes_find_neighbours() {
    let all = vectors(2000, 60, 1);
    let encoder = BinaryEncoder::learn(all.view(), 32, 1).unwrap();
    assert_eq!(encoder.bits(), 32);
    let queries = all.slice(s![..50, ..]);
    let codes = encoder.encode(all.view()).unwrap();
    let own = encoder.encode(queries).unwrap();
    let exact = exact(queries, all.view(), 6);
    let at = |count: usize| recall(&exact, &own.nearest(&codes, count).unwrap(), 6);
    assert!(at(100) > 0.8 && at(100) >= at(10), "{} {}", at(10), at(100));
    assert_eq!(at(2000), 1.0);
}

/// Bits tell on which side of the sample's mean a vector lies, wherever that is: two vectors differ in about half of them.
#[test]
fn bits_are_balanced_around_the_mean() {
    let all = vectors(400, 20, 4) + 5000.0;
    let codes = BinaryEncoder::learn(all.view(), 8, 1).unwrap().encode(all.view()).unwrap();
    let sum: u32 = (0..200).map(|own| codes.distance(own, &codes, 399 - own)).sum();
    let mean = f64::from(sum) / 200.0;
    assert!((2.5..5.5).contains(&mean), "{mean}");
}

#[test]
fn codes_are_the_same_in_blocks_and_for_the_same_seed() {
    let all = vectors(300, 80, 2);
    let encoder = BinaryEncoder::learn(all.view(), 70, 9).unwrap();
    let whole = encoder.encode(all.view()).unwrap();
    let mut parts = encoder.encode(all.slice(s![..130, ..])).unwrap();
    parts.append(&encoder.encode(all.slice(s![130.., ..])).unwrap()).unwrap();
    assert_eq!((parts.len(), &parts), (300, &whole));
    assert_eq!(BinaryEncoder::learn(all.view(), 70, 9).unwrap().encode(all.view()).unwrap(), whole);
}

#[test]
fn wrong_numbers_are_refused() {
    let all = vectors(20, 10, 3);
    for (bits, most) in [(0, 10), (11, 10)] {
        let error = BinaryEncoder::learn(all.view(), bits, 1).unwrap_err();
        assert!(error.to_string().contains(&format!("1 to {most}")), "{error}");
    }
    let few = BinaryEncoder::learn(all.slice(s![..4, ..]), 5, 1).unwrap_err();
    assert!(few.to_string().contains("1 to 3"), "{few}");
    let encoder = BinaryEncoder::learn(all.view(), 6, 1).unwrap();
    assert_eq!(encoder.encode(all.slice(s![.., ..4])).unwrap_err(), Error::Length { expected: 10, found: 4 });
    let mut broken = all.clone();
    broken[[7, 2]] = f32::INFINITY;
    assert_eq!(encoder.encode(broken.view()).unwrap_err(), Error::NotFinite { vector: 7, value: f32::INFINITY });
    let other = BinaryEncoder::learn(all.view(), 5, 1).unwrap().encode(all.view()).unwrap();
    assert!(encoder.encode(all.view()).unwrap().nearest(&other, 1).is_err());
    // All the same: any code will do, but there is one.
    assert_eq!(
        BinaryEncoder::learn(Array2::ones((9, 4)).view(), 3, 1).unwrap().encode(all.slice(s![.., ..4])).unwrap().len(),
        20
    );
}

proptest! {
    /// The search by bits is that of sorting all distances.
    #[test]
    fn the_nearest_codes_are_those_of_all(seed in 0usize..20, bits in 1usize..12, count in 1usize..60) {
        let all = vectors(50, 12, seed);
        let codes = BinaryEncoder::learn(all.view(), bits, 1).unwrap().encode(all.view()).unwrap();
        let found = codes.nearest(&codes, count).unwrap();
        for (own, found) in found.iter().enumerate() {
            let mut expected: Vec<usize> = (0..50).collect();
            expected.sort_by_key(|&other| codes.distance(own, &codes, other));
            expected.truncate(count);
            prop_assert_eq!(found, &expected);
        }
    }
}
