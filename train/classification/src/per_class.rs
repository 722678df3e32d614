//! Precision, recall and F1 of each class.

use serde::Serialize;

use crate::Confusion;

/// The results of one class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// Number of the class's images.
    pub support: usize,
    /// Number of images that were taken for it.
    pub predicted: usize,
    /// The fraction of those taken for it that are of it; none if there is none.
    pub precision: Option<f64>,
    /// The fraction of its images that were taken for it; none without images.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall: 2 hits / (support + predicted); none if both are 0.
    pub f1: Option<f64>,
}

/// Means over the classes that have images, each class counting the same (macro averages). A precision that is none counts
/// as 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ClassMeans {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1.
    pub f1: f64,
}

impl ClassReport {
    /// The results of each class.
    pub(crate) fn of(confusion: &Confusion) -> Vec<Self> {
        let mut predicted = vec![0usize; confusion.classes()];
        for label in 0..confusion.classes() {
            for (sum, &count) in predicted.iter_mut().zip(confusion.row(label)) {
                *sum += count as usize;
            }
        }
        let of_class = |(class, predicted): (usize, usize)| {
            let support: usize = confusion.row(class).iter().map(|&count| count as usize).sum();
            let hits = confusion.count(class, class) as f64;
            let share = |n: usize| (n > 0).then(|| hits / n as f64);
            let f1 = (support + predicted > 0).then(|| 2.0 * hits / (support + predicted) as f64);
            Self { support, predicted, precision: share(predicted), recall: share(support), f1 }
        };
        predicted.into_iter().enumerate().map(of_class).collect()
    }
}

impl ClassMeans {
    pub(crate) fn of(classes: &[ClassReport]) -> Self {
        let with_images: Vec<&ClassReport> = classes.iter().filter(|class| class.support > 0).collect();
        let n = with_images.len().max(1) as f64;
        let mean = |figure: fn(&ClassReport) -> Option<f64>| {
            with_images.iter().map(|class| figure(class).unwrap_or(0.0)).sum::<f64>() / n
        };
        Self { precision: mean(|c| c.precision), recall: mean(|c| c.recall), f1: mean(|c| c.f1) }
    }
}
