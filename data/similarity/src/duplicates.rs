//! Pairs of images with nearly the same fingerprints, without comparing all pairs.

use std::ops::Range;

use rayon::prelude::*;

use crate::Fingerprint;

/// The most bits in which the hashes of a pair differ.
const HASH_DISTANCE: u32 = 7;
/// The largest difference of the thumbnails of a pair.
const THUMBNAIL_DISTANCE: f64 = 20.0;
/// Parts of a hash. Of two hashes that differ in at most 7 bits, one part differs in at most one.
const PARTS: u32 = 4;
/// Bits of a part.
const PART_BITS: u32 = 16;
/// The most images of one hash that are compared with others: those without texture share a few hashes.
const LEADERS: usize = 32;

/// Two images that may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The number of the first image.
    pub first: usize,
    /// The number of the second image, which is larger.
    pub second: usize,
}

/// Pairs of images that may be the same, sorted: their hashes differ in at most 7 of 64 bits, and their thumbnails by at
/// most 20 of 255 (root mean square). Whether they are the same, their pixels say.
///
/// Images of the same hash make groups around their first image, and so do thumbnails within them: an image is paired with
/// the first image of its group, and groups with each other by their first images, so that a thousand equal images are a
/// thousand pairs and not half a million; [`components`] joins them again.
///
/// Hashes are found by their parts (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing",
/// 2012). The time is about proportional to the number of images, as long as hashes are spread over their parts.
pub fn candidates(fingerprints: &[Fingerprint]) -> Vec<Candidate> {
    let mut order: Vec<usize> = (0..fingerprints.len()).collect();
    order.par_sort_unstable_by_key(|&image| (fingerprints[image].hash(), image));
    let groups: Vec<&[usize]> = order.chunk_by(|a, b| fingerprints[*a].hash() == fingerprints[*b].hash()).collect();
    let grouped: Vec<(Vec<usize>, Vec<Candidate>)> =
        groups.par_iter().map(|group| leaders(fingerprints, group)).collect();
    let mut found: Vec<Candidate> = grouped.iter().flat_map(|(_, pairs)| pairs).copied().collect();
    let leaders: Vec<&[usize]> = grouped.iter().map(|(leaders, _)| leaders.as_slice()).collect();
    found.extend(between_groups(fingerprints, &leaders));
    found.par_sort_unstable();
    found.dedup();
    found
}

/// The images of a group whose thumbnails differ from those of all leaders before, and the pairs of the others with the
/// first leader near them.
fn leaders(fingerprints: &[Fingerprint], group: &[usize]) -> (Vec<usize>, Vec<Candidate>) {
    let mut leaders: Vec<usize> = Vec::new();
    let mut pairs = Vec::new();
    for &image in group {
        match leaders.iter().find(|&&leader| is_near(fingerprints, leader, image)) {
            Some(&leader) => pairs.push(Candidate { first: leader, second: image }),
            None if leaders.len() < LEADERS => leaders.push(image),
            None => {}
        }
    }
    (leaders, pairs)
}

fn is_near(fingerprints: &[Fingerprint], one: usize, other: usize) -> bool {
    fingerprints[one].thumbnail_distance(&fingerprints[other]) <= THUMBNAIL_DISTANCE
}

/// The pairs of leaders of different groups.
fn between_groups(fingerprints: &[Fingerprint], leaders: &[&[usize]]) -> Vec<Candidate> {
    let hashes: Vec<u64> = leaders.iter().map(|leaders| fingerprints[leaders[0]].hash()).collect();
    let mut found = Vec::new();
    for part in 0..PARTS {
        let index = PartIndex::new(&hashes, part);
        let of_group = |group: usize| {
            let near = index.near(&hashes, group).into_iter();
            near.flat_map(|other| pairs(fingerprints, leaders[group], leaders[other])).collect::<Vec<_>>()
        };
        found.par_extend((0..hashes.len()).into_par_iter().flat_map_iter(of_group));
    }
    found
}

fn pairs(fingerprints: &[Fingerprint], ones: &[usize], others: &[usize]) -> Vec<Candidate> {
    let mut pairs = Vec::new();
    for &one in ones {
        for &other in others {
            if is_near(fingerprints, one, other) {
                pairs.push(Candidate { first: one.min(other), second: one.max(other) });
            }
        }
    }
    pairs
}

/// Hashes by the value of one of their parts.
struct PartIndex {
    shift: u32,
    /// The numbers of the hashes, by the value of the part.
    sorted: Vec<u32>,
    /// The first place of each value in `sorted`, and the end.
    starts: Vec<u32>,
}

impl PartIndex {
    fn new(hashes: &[u64], part: u32) -> Self {
        let shift = part * PART_BITS;
        let value = |hash: u64| (hash >> shift) as usize & ((1 << PART_BITS) - 1);
        let mut starts = vec![0u32; (1 << PART_BITS) + 1];
        for &hash in hashes {
            starts[value(hash) + 1] += 1;
        }
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let mut next = starts.clone();
        let mut sorted = vec![0; hashes.len()];
        for (number, &hash) in hashes.iter().enumerate() {
            let place = &mut next[value(hash)];
            sorted[*place as usize] = number as u32;
            *place += 1;
        }
        Self { shift, sorted, starts }
    }

    /// The hashes after number `own` that are near to it, with a part that differs in at most one bit.
    fn near(&self, hashes: &[u64], own: usize) -> Vec<usize> {
        let hash = hashes[own];
        let value = (hash >> self.shift) as usize & ((1 << PART_BITS) - 1);
        let flips = std::iter::once(0).chain((0..PART_BITS).map(|bit| 1 << bit));
        let others = flips.flat_map(|flip| &self.sorted[self.range(value ^ flip)]);
        let is_near = |other: &usize| *other > own && (hashes[*other] ^ hash).count_ones() <= HASH_DISTANCE;
        others.map(|&other| other as usize).filter(is_near).collect()
    }

    fn range(&self, value: usize) -> Range<usize> {
        self.starts[value] as usize..self.starts[value + 1] as usize
    }
}

/// Sets of images that are the same, from pairs of them: each sorted, of at least two, by their first images. `count` is
/// the number of all images.
///
/// ```
/// use alexnet_similarity::{Candidate, components};
///
/// let pairs = [(1, 4), (4, 6), (2, 3)].map(|(first, second)| Candidate { first, second });
/// assert_eq!(components(8, &pairs), [vec![1, 4, 6], vec![2, 3]]);
/// ```
///
/// # Panics
/// If a pair has a number of `count` or more.
pub fn components(count: usize, pairs: &[Candidate]) -> Vec<Vec<usize>> {
    let mut parents: Vec<usize> = (0..count).collect();
    for pair in pairs {
        let one = root(&mut parents, pair.first);
        let other = root(&mut parents, pair.second);
        parents[one.max(other)] = one.min(other);
    }
    let mut sets: std::collections::BTreeMap<usize, Vec<usize>> = std::collections::BTreeMap::new();
    for image in 0..count {
        sets.entry(root(&mut parents, image)).or_default().push(image);
    }
    sets.into_values().filter(|set| set.len() > 1).collect()
}

/// The first image of the set of an image; the way to it is shortened.
fn root(parents: &mut [usize], mut image: usize) -> usize {
    while parents[image] != image {
        parents[image] = parents[parents[image]];
        image = parents[image];
    }
    image
}
