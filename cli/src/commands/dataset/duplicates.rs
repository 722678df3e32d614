//! Near-duplicates within and between data sets.

use rayon::prelude::*;
use serde::Serialize;
use similarity::{Candidate, candidates, components, relative_difference};

use super::Part;
use super::scan::small;
use crate::failure::Result;

/// Side of the squares whose pixels are compared.
const SIDE: usize = 32;
/// The largest relative difference of near-duplicates.
const DIFFERENCE: f64 = 0.3;

/// An image of one of the data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the data set.
    pub part: usize,
    /// The image in it.
    pub image: usize,
}

/// Two images that are nearly the same.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub first: Place,
    pub second: Place,
    /// 0 for the same pixels; at most 0.3.
    pub difference: f64,
}

/// The near-duplicates of data sets.
pub struct Duplicates {
    /// Each image with the first that is like it, by the first image.
    pub pairs: Vec<Pair>,
    /// Images that are the same, joined over pairs.
    pub sets: Vec<Vec<Place>>,
}

/// The numbers of near-duplicates.
#[derive(Debug, Serialize)]
pub struct DuplicateSummary {
    /// Images of the training set that are like an earlier one of it.
    pub within_train: usize,
    /// Images of the validation set that are like an earlier one of it.
    pub within_val: usize,
    /// Images of the validation set that are like one of the training set.
    pub val_in_train: usize,
    /// Sets of images that are the same but have different labels.
    pub other_labels: usize,
}

/// Finds the near-duplicates of the data sets together.
pub fn find(parts: &[Part]) -> Result<Duplicates> {
    let mut places = Vec::new();
    let mut fingerprints = Vec::new();
    for (part, look) in parts.iter().enumerate() {
        for (image, fingerprint) in look.scanned.fingerprints.iter().enumerate() {
            if let Some(fingerprint) = fingerprint {
                places.push(Place { part, image });
                fingerprints.push(*fingerprint);
            }
        }
    }
    let compare = |pair: &Candidate| {
        let difference = difference(parts, places[pair.first], places[pair.second]).filter(|d| *d <= DIFFERENCE)?;
        Some((*pair, difference))
    };
    let same: Vec<(Candidate, f64)> = candidates(&fingerprints).par_iter().filter_map(compare).collect();
    let numbers: Vec<Candidate> = same.iter().map(|(pair, _)| *pair).collect();
    let sets = components(places.len(), &numbers);
    let pairs = same.iter().map(|(pair, difference)| Pair {
        first: places[pair.first],
        second: places[pair.second],
        difference: *difference,
    });
    let pairs = pairs.collect();
    Ok(Duplicates { pairs, sets: sets.into_iter().map(|set| set.iter().map(|&at| places[at]).collect()).collect() })
}

/// The relative difference of two images; None if one cannot be read again.
fn difference(parts: &[Part], one: Place, other: Place) -> Option<f64> {
    let pixels = |place: Place| small(&*parts[place.part].images, place.image, SIDE).ok();
    relative_difference(pixels(one)?.pixels(), pixels(other)?.pixels()).ok()
}

impl Duplicates {
    /// Counts them.
    pub fn summary(&self, parts: &[Part]) -> DuplicateSummary {
        let mut summary = DuplicateSummary { within_train: 0, within_val: 0, val_in_train: 0, other_labels: 0 };
        for set in &self.sets {
            let of_train = set.iter().filter(|place| place.part == 0).count();
            let of_val = set.len() - of_train;
            summary.within_train += of_train.saturating_sub(1);
            summary.within_val += of_val.saturating_sub(1);
            summary.val_in_train += if of_train > 0 { of_val } else { 0 };
            let mut labels = set.iter().filter_map(|&place| class(parts, place));
            let first = labels.next();
            summary.other_labels += usize::from(labels.any(|label| Some(label) != first));
        }
        summary
    }
}

/// The name of the class of an image; None without labels.
pub fn class(parts: &[Part], place: Place) -> Option<&str> {
    let images = &parts[place.part].images;
    images.classes().get(images.label(place.image) as usize).map(String::as_str)
}
