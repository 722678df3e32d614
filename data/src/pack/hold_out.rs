//! Choice of the validation images of a source.

use hmac_sha256::Hash;

use crate::error::{Error, Result};
use crate::source::SampleList;

/// Maximum number of classes named in a note.
const MAX_NAMED_CLASSES: usize = 5;

/// A fraction of the images of each class held out for validation.
///
/// ```no_run
/// use alexnet_data::{HoldOut, PackOptions, pack_train_and_val};
///
/// let hold_out = HoldOut { fraction: 0.1, seed: 2012 };
/// let report = pack_train_and_val(&PackOptions::new("images", "packs"), Some(hold_out), |_, _| ())?;
/// println!("{} images to train, {} to validate", report.train.images, report.val.images);
/// # Ok::<(), alexnet_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HoldOut {
    /// Fraction of each class, between 0 and 1 exclusive. For each class with two images or more, at least one is held
    /// out and at least one kept.
    pub fraction: f64,
    /// Random seed: the same seed and names select the same images.
    pub seed: u64,
}

impl HoldOut {
    pub(super) fn check(&self) -> Result<()> {
        if self.fraction > 0.0 && self.fraction < 1.0 {
            return Ok(());
        }
        Err(Error::option("val_fraction", "more than 0 and less than 1", self.fraction))
    }

    /// Adds these options to the error for a folder that holds other images: they may be what changed.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::OtherPack { path, expected, found, .. } => Error::OtherPack {
                path,
                expected: format!("{expected}, val_fraction {} and val_seed {}", self.fraction, self.seed),
                found: format!("{found}, or images held out by another val_fraction or val_seed"),
                advice: "give the val_fraction and val_seed of before, or choose another folder",
            },
            other => other,
        }
    }

    /// Description of how the images of `part` were chosen, for fingerprints.
    pub(super) fn description(&self, part: &str) -> String {
        format!("{part} part, {} of each class held out, seed {}", self.fraction, self.seed)
    }

    /// Whether each image is held out.
    ///
    /// The images of a class are ordered by a hash of seed and name and the first ones are taken, so the choice depends
    /// neither on other classes nor on the order of the source.
    pub(super) fn select(&self, samples: &SampleList) -> Vec<bool> {
        let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); samples.classes().len()];
        for index in 0..samples.len() {
            by_class[samples.label(index) as usize].push(index);
        }
        let mut held_out = vec![false; samples.len()];
        for mut images in by_class {
            let count = self.count(images.len());
            images.sort_by_cached_key(|&index| (self.hash(samples.name(index)), index));
            images[..count].iter().for_each(|&index| held_out[index] = true);
        }
        held_out
    }

    /// Note on classes that cannot be in both parts.
    pub(super) fn note(samples: &SampleList) -> Option<String> {
        let mut counts = vec![0usize; samples.classes().len()];
        (0..samples.len()).for_each(|index| counts[samples.label(index) as usize] += 1);
        let names = samples.classes().iter().zip(counts).filter(|(_, count)| *count < 2);
        few_images_note(&names.map(|(class, _)| class.as_str()).collect::<Vec<_>>())
    }

    /// Number of images held out of `n`.
    fn count(&self, n: usize) -> usize {
        let share = (n as f64 * self.fraction).round() as usize;
        share.max(1).min(n.saturating_sub(1))
    }

    fn hash(&self, name: &[u8]) -> [u8; 32] {
        let mut digest = Hash::new();
        digest.update(self.seed.to_le_bytes());
        digest.update(name);
        digest.finalize()
    }
}

/// Note on classes with fewer than two images.
fn few_images_note(names: &[&str]) -> Option<String> {
    let first: Vec<String> = names.iter().take(MAX_NAMED_CLASSES).map(|class| format!("{class:?}")).collect();
    let more = match names.len().saturating_sub(MAX_NAMED_CLASSES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let classes = if names.len() == 1 { "1 class has".to_string() } else { format!("{} classes have", names.len()) };
    (!names.is_empty()).then(|| {
        format!(
            "{classes} fewer than two images, too few to be in both packs: {}{more}; a single image goes to the training pack, \
             and its class is not validated",
            first.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_with_too_few_images_are_named() {
        assert_eq!(few_images_note(&[]), None);
        let one = few_images_note(&["a"]).unwrap();
        assert!(one.starts_with("1 class has fewer than two images, too few to be in both packs: \"a\"; "), "{one}");
        let many = few_images_note(&["a", "b", "c", "d", "e", "f", "g"]).unwrap();
        assert!(many.starts_with("7 classes have fewer than two images"), "{many}");
        assert!(many.contains(": \"a\", \"b\", \"c\", \"d\", \"e\" and 2 more; "), "{many}");
    }

    #[test]
    fn shares_are_rounded_and_leave_both_parts_something() {
        let of = |fraction: f64, n: usize| HoldOut { fraction, seed: 1 }.count(n);
        assert_eq!([0, 1, 2, 3, 10, 14, 15, 1300].map(|n| of(0.1, n)), [0, 0, 1, 1, 1, 1, 2, 130]);
        assert_eq!([1, 2, 3, 10].map(|n| of(0.99, n)), [0, 1, 2, 9]);
        for fraction in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
            let error = HoldOut { fraction, seed: 1 }.check().unwrap_err().to_string();
            assert!(error.starts_with("val_fraction: expected more than 0 and less than 1, got "), "{error}");
        }
    }
}
