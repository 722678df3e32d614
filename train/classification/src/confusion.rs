//! The confusion matrix.

use serde::Serialize;

/// The numbers of images by label and predicted class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[label, predicted]`.
    counts: Vec<u32>,
}

/// A pair of classes, the first of which was taken for the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConfusedPair {
    /// The label.
    pub label: usize,
    /// The predicted class.
    pub predicted: usize,
    /// Number of images.
    pub images: u32,
}

impl Confusion {
    pub(crate) fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    pub(crate) fn add(&mut self, label: usize, predicted: usize) {
        self.counts[label * self.classes + predicted] += 1;
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of images of class `label` that were taken for `predicted`.
    ///
    /// # Panics
    /// If one of them is not below [`classes`](Self::classes).
    pub fn count(&self, label: usize, predicted: usize) -> u32 {
        self.row(label)[predicted]
    }

    /// The predictions of the images of a class, by predicted class.
    ///
    /// # Panics
    /// If `label` is not below [`classes`](Self::classes).
    pub fn row(&self, label: usize) -> &[u32] {
        &self.counts[label * self.classes..][..self.classes]
    }

    /// The pairs of different classes that were confused most, at most `count` of them; of equals those of the first labels.
    pub fn most_confused(&self, count: usize) -> Vec<ConfusedPair> {
        let mut pairs = Vec::new();
        for label in 0..self.classes {
            for (predicted, &images) in self.row(label).iter().enumerate() {
                if images > 0 && predicted != label {
                    pairs.push(ConfusedPair { label, predicted, images });
                }
            }
        }
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.images));
        pairs.truncate(count);
        pairs
    }
}
