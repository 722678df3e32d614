//! The ROC curve of two classes.

use serde::Serialize;

/// The receiver operating characteristic of class 1 of two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Roc {
    /// The area under the curve: the probability that a random image of class 1 has a higher score than one of class 0,
    /// equal scores counting half.
    pub area: f64,
    /// The curve from (0, 0) to (1, 1), a point for each different score; more than 1000 are thinned evenly.
    pub points: Vec<RocPoint>,
}

/// A point of the curve: images with at least this score are taken for class 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RocPoint {
    /// The lowest score that counts; none of the first point, where no image counts.
    pub threshold: Option<f32>,
    /// Fraction of class 0 that counts.
    pub false_positives: f64,
    /// Fraction of class 1 that counts.
    pub true_positives: f64,
}

/// The most points.
const MAX_POINTS: usize = 1000;

impl Roc {
    /// The curve of scores of class 1 and whether an image is of it; none unless both classes have images.
    pub(crate) fn of(scores: &[(f32, bool)]) -> Option<Self> {
        let positives = scores.iter().filter(|(_, is_positive)| *is_positive).count();
        let negatives = scores.len() - positives;
        if positives == 0 || negatives == 0 {
            return None;
        }
        let mut sorted = scores.to_vec();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut points = vec![RocPoint { threshold: None, false_positives: 0.0, true_positives: 0.0 }];
        let mut counts = [0usize; 2];
        for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
            let hits = equal.iter().filter(|(_, is_positive)| *is_positive).count();
            counts[0] += equal.len() - hits;
            counts[1] += hits;
            let false_positives = counts[0] as f64 / negatives as f64;
            let true_positives = counts[1] as f64 / positives as f64;
            points.push(RocPoint { threshold: Some(equal[0].0), false_positives, true_positives });
        }
        let strip = |pair: &[RocPoint]| {
            (pair[1].false_positives - pair[0].false_positives) * (pair[1].true_positives + pair[0].true_positives)
                / 2.0
        };
        let area = points.windows(2).map(strip).sum();
        Some(Self { area, points: thinned(points) })
    }
}

/// At most [`MAX_POINTS`], the first and the last among them.
fn thinned(points: Vec<RocPoint>) -> Vec<RocPoint> {
    if points.len() <= MAX_POINTS {
        return points;
    }
    let last = points.len() - 1;
    (0..MAX_POINTS).map(|place| points[place * last / (MAX_POINTS - 1)]).collect()
}
