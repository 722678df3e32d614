//! What a step teaches: the label of each image, or shares of several.

use data::MixedLabel;

/// The targets of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// The label of each image: what counts as right.
    pub labels: &'a [u32],
    /// The other image in each; empty where none is mixed.
    pub mixed: &'a [MixedLabel],
    /// The share of every target that is spread evenly over all classes (Szegedy et al., "Rethinking the Inception
    /// Architecture for Computer Vision", 2015, section 7), in [0, 1).
    pub smoothing: f64,
}

impl Targets<'_> {
    /// One-hot labels less the targets, `[n, classes]`; none where the targets are the labels.
    pub fn excess(&self, classes: usize) -> Option<Vec<f32>> {
        if self.mixed.is_empty() && self.smoothing == 0.0 {
            return None;
        }
        let even = self.smoothing / classes.max(1) as f64;
        let mut excess = vec![-even as f32; self.labels.len() * classes];
        for (place, row) in excess.chunks_exact_mut(classes.max(1)).enumerate() {
            let other = self.mixed.get(place).copied().unwrap_or_default();
            let share = f64::from(other.share) * (1.0 - self.smoothing);
            if let Some(value) = row.get_mut(self.labels[place] as usize) {
                *value += (self.smoothing + share) as f32;
            }
            if let Some(value) = row.get_mut(other.label as usize) {
                *value -= share as f32;
            }
        }
        Some(excess)
    }
}

impl<'a> From<&'a [u32]> for Targets<'a> {
    fn from(labels: &'a [u32]) -> Self {
        Self { labels, mixed: &[], smoothing: 0.0 }
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
    fn excess_is_the_label_less_the_target() {
        let mixed = [MixedLabel { label: 2, share: 0.25 }, MixedLabel { label: 1, share: 0.5 }];
        let targets = Targets { labels: &[0, 1], mixed: &mixed, smoothing: 0.0 };
        // The second is mixed with one of its own class.
        assert_eq!(targets.excess(3).unwrap(), [0.25, 0.0, -0.25, 0.0, 0.0, 0.0]);
        let smooth = Targets { labels: &[1], mixed: &[], smoothing: 0.3 }.excess(3).unwrap();
        let expected = [-0.1, 1.0 - 0.8, -0.1];
        assert!(smooth.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{smooth:?}");
        let both = Targets { labels: &[0], mixed: &mixed[..1], smoothing: 0.1 }.excess(3).unwrap();
        let even = 0.1 / 3.0;
        let expected = [1.0 - (0.9 * 0.75 + even), -even, -(0.9 * 0.25 + even)];
        assert!(both.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{both:?}");
        assert!(Targets::from(&[1u32, 2]).excess(3).is_none());
    }
}
