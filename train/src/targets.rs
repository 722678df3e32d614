//! The targets of a step: the label of each image, or a mixture of labels.

use data::MixedLabel;

/// The targets of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// The label of each image, by which errors are counted.
    pub labels: &'a [u32],
    /// The second label of each image; empty if no images are mixed.
    pub mixed: &'a [MixedLabel],
    /// Label smoothing: the share of each target that is spread evenly over all classes (Szegedy et al., "Rethinking
    /// the Inception Architecture for Computer Vision", 2015, section 7), in [0, 1).
    pub smoothing: f64,
    /// The weight of each class, which multiplies its share of the loss; empty: all 1.
    pub class_weights: &'a [f32],
}

impl Targets<'_> {
    /// The targets times the weights of their classes, `[n, classes]`; `None` if all weights are 1.
    pub fn weighted(&self, classes: usize) -> Option<Vec<f32>> {
        if self.class_weights.is_empty() {
            return None;
        }
        let mut targets = vec![0.0; self.labels.len() * classes];
        for (row, &label) in targets.chunks_exact_mut(classes.max(1)).zip(self.labels) {
            if let Some(value) = row.get_mut(label as usize) {
                *value = 1.0;
            }
        }
        if let Some(difference) = self.onehot_minus_targets(classes) {
            targets.iter_mut().zip(difference).for_each(|(target, difference)| *target -= difference);
        }
        for row in targets.chunks_exact_mut(classes.max(1)) {
            row.iter_mut().zip(self.class_weights).for_each(|(target, weight)| *target *= weight);
        }
        Some(targets)
    }

    /// One-hot labels minus the targets, `[n, classes]`; `None` if the targets are the one-hot labels.
    pub fn onehot_minus_targets(&self, classes: usize) -> Option<Vec<f32>> {
        if self.mixed.is_empty() && self.smoothing == 0.0 {
            return None;
        }
        let even = self.smoothing / classes.max(1) as f64;
        let mut difference = vec![-even as f32; self.labels.len() * classes];
        for (position, row) in difference.chunks_exact_mut(classes.max(1)).enumerate() {
            let other = self.mixed.get(position).copied().unwrap_or_default();
            let share = f64::from(other.share) * (1.0 - self.smoothing);
            if let Some(value) = row.get_mut(self.labels[position] as usize) {
                *value += (self.smoothing + share) as f32;
            }
            if let Some(value) = row.get_mut(other.label as usize) {
                *value -= share as f32;
            }
        }
        Some(difference)
    }
}

impl<'a> From<&'a [u32]> for Targets<'a> {
    fn from(labels: &'a [u32]) -> Self {
        Self { labels, mixed: &[], smoothing: 0.0, class_weights: &[] }
    }
}

impl<'a> From<&'a Vec<u32>> for Targets<'a> {
    fn from(labels: &'a Vec<u32>) -> Self {
        labels.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [u32; N]> for Targets<'a> {
    fn from(labels: &'a [u32; N]) -> Self {
        labels.as_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_the_label_minus_the_target() {
        let mixed = [MixedLabel { label: 2, share: 0.25 }, MixedLabel { label: 1, share: 0.5 }];
        let targets = Targets { labels: &[0, 1], mixed: &mixed, smoothing: 0.0, class_weights: &[] };
        // The second image is mixed with one of its own class.
        assert_eq!(targets.onehot_minus_targets(3).unwrap(), [0.25, 0.0, -0.25, 0.0, 0.0, 0.0]);
        let smooth =
            Targets { labels: &[1], mixed: &[], smoothing: 0.3, class_weights: &[] }.onehot_minus_targets(3).unwrap();
        let expected = [-0.1, 1.0 - 0.8, -0.1];
        assert!(smooth.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{smooth:?}");
        let both = Targets { labels: &[0], mixed: &mixed[..1], smoothing: 0.1, class_weights: &[] }
            .onehot_minus_targets(3)
            .unwrap();
        let even = 0.1 / 3.0;
        let expected = [1.0 - (0.9 * 0.75 + even), -even, -(0.9 * 0.25 + even)];
        assert!(both.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{both:?}");
        assert!(Targets::from(&[1u32, 2]).onehot_minus_targets(3).is_none());
    }

    #[test]
    fn weighted_targets_are_targets_times_weights() {
        let mixed = [MixedLabel { label: 2, share: 0.25 }];
        let targets = Targets { labels: &[0], mixed: &mixed, smoothing: 0.0, class_weights: &[2.0, 1.0, 4.0] };
        assert_eq!(targets.weighted(3).unwrap(), [1.5, 0.0, 1.0]);
        assert!(Targets::from(&[1u32]).weighted(3).is_none());
    }
}
