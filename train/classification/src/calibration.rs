//! Calibration: whether predictions of 80 % are right in 80 % of the cases.

use serde::Serialize;

/// Number of bins, as in Guo and others: "On Calibration of Modern Neural Networks", 2017.
const BINS: usize = 15;

/// Calibration of the predicted classes' probabilities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error: the mean over images of |accuracy - confidence| of their bin.
    pub expected_error: f64,
    /// Maximum calibration error: the largest |accuracy - confidence| of a bin with images.
    pub maximum_error: f64,
    /// Bins of equal width over the confidence, from 0 to 1.
    pub bins: Vec<CalibrationBin>,
}

/// A bin of a reliability diagram: images whose predicted class has a probability in (`low`, `high`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Lower end, not in the bin (but for 0).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Number of images.
    pub images: usize,
    /// Mean probability of the predicted class; 0 without images.
    pub confidence: f64,
    /// Fraction of images that were right; 0 without images.
    pub accuracy: f64,
}

/// Sums over the images.
#[derive(Clone, Debug, Default)]
pub(crate) struct CalibrationSums {
    bins: [(usize, f64, usize); BINS],
}

impl CalibrationSums {
    /// Counts an image.
    pub fn add(&mut self, confidence: f32, is_hit: bool) {
        let place = (f64::from(confidence) * BINS as f64).ceil() as usize;
        let (images, sum, hits) = &mut self.bins[place.clamp(1, BINS) - 1];
        *images += 1;
        *sum += f64::from(confidence);
        *hits += usize::from(is_hit);
    }

    /// The calibration so far.
    pub fn finish(&self) -> Calibration {
        let edge = |bin: usize| bin as f64 / BINS as f64;
        let bin = |(number, &(images, sum, hits)): (usize, &(usize, f64, usize))| {
            let n = images.max(1) as f64;
            let low = edge(number);
            CalibrationBin { low, high: edge(number + 1), images, confidence: sum / n, accuracy: hits as f64 / n }
        };
        let bins: Vec<CalibrationBin> = self.bins.iter().enumerate().map(bin).collect();
        let all: usize = bins.iter().map(|bin| bin.images).sum();
        let gap = |bin: &CalibrationBin| (bin.accuracy - bin.confidence).abs();
        let expected: f64 = bins.iter().map(|bin| gap(bin) * bin.images as f64).sum();
        let filled = bins.iter().filter(|bin| bin.images > 0);
        let maximum_error = filled.map(gap).fold(0.0, f64::max);
        Calibration { expected_error: expected / all.max(1) as f64, maximum_error, bins }
    }
}
