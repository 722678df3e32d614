//! Near-duplicates against a comparison of all pairs.

use alexnet_similarity::{Candidate, Fingerprint, candidates, components, relative_difference};
use proptest::prelude::*;

const SIDE: usize = 24;

/// A smooth image that depends on the seed.
fn image(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    let corners: [[f64; 3]; 16] = std::array::from_fn(|_| std::array::from_fn(|_| 255.0 * next()));
    let mut pixels = Vec::new();
    for place in 0..SIDE * SIDE {
        let cell = place / SIDE * 4 / SIDE * 4 + place % SIDE * 4 / SIDE;
        pixels.extend(corners[cell].map(|value| value as u8));
    }
    pixels
}

fn changed(pixels: &[u8], noise: u8) -> Vec<u8> {
    pixels
        .iter()
        .enumerate()
        .map(|(place, &value)| value.saturating_add((place * 31 % 7) as u8 % (noise + 1)))
        .collect()
}

fn fingerprint(pixels: &[u8]) -> Fingerprint {
    Fingerprint::new(pixels, SIDE, SIDE).unwrap()
}

#[test]
fn changed_images_are_found_and_others_are_not() {
    let mut images: Vec<Vec<u8>> = (0..300).map(image).collect();
    images.push(changed(&images[17], 3));
    images.push(images[17].clone());
    images.push(changed(&images[200], 1));
    let fingerprints: Vec<Fingerprint> = images.iter().map(|pixels| fingerprint(pixels)).collect();
    let pairs = candidates(&fingerprints);
    let same: Vec<Candidate> = pairs
        .into_iter()
        .filter(|pair| relative_difference(&images[pair.first], &images[pair.second]).unwrap() < 0.15)
        .collect();
    assert_eq!(components(images.len(), &same), [vec![17, 300, 301], vec![200, 302]]);
}

/// A thousand images without texture are not half a million pairs.
#[test]
fn equal_images_make_one_set() {
    let mut fingerprints = vec![fingerprint(&[7; SIDE * SIDE * 3]); 1000];
    fingerprints.push(fingerprint(&[250; SIDE * SIDE * 3]));
    let pairs = candidates(&fingerprints);
    assert_eq!(pairs.len(), 999);
    assert_eq!(components(1001, &pairs), [(0..1000).collect::<Vec<_>>()]);
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    for (bytes, width, height) in [(0, 0, 0), (12, 2, 3), (12, usize::MAX, 2)] {
        assert!(Fingerprint::new(&vec![0; bytes], width, height).is_err());
    }
    assert!(Fingerprint::new(&[9, 9, 9], 1, 1).is_ok());
    assert!(relative_difference(&[0; 3], &[0; 6]).is_err());
    assert_eq!(relative_difference(&[5; 12], &[5; 12]).unwrap(), 0.0);
}

proptest! {
    /// Every pair of near hashes is joined, directly or over others.
    #[test]
    fn no_pair_of_near_hashes_is_missed(seeds in proptest::collection::vec((0u64..12, 0u8..4), 1..60)) {
        let images: Vec<Fingerprint> = seeds.iter().map(|&(seed, noise)| fingerprint(&changed(&image(seed), noise))).collect();
        let pairs = candidates(&images);
        prop_assert!(pairs.windows(2).all(|two| two[0] < two[1]));
        prop_assert!(pairs.iter().all(|pair| pair.first < pair.second));
        let sets = components(images.len(), &pairs);
        let set = |image: usize| sets.iter().position(|set| set.contains(&image));
        for (second, one) in images.iter().enumerate() {
            for (first, other) in images[..second].iter().enumerate() {
                if one.hash_distance(other) <= 7 && one.thumbnail_distance(other) <= 5.0 {
                    prop_assert!(set(first).is_some() && set(first) == set(second), "{} {}", first, second);
                }
            }
        }
    }
}
