//! Which images of a source are held out for validation.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::source::Catalogue;

/// Classes that are named; of more, the number is.
const NAMED: usize = 5;

/// A share of the images of each class that is held out for validation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HoldOut {
    /// The share, more than 0 and less than 1. Of each class with two images or more at least one is held out, and one kept.
    pub fraction: f64,
    /// Decides which: the same seed and names give the same images.
    pub seed: u64,
}

impl HoldOut {
    pub(super) fn check(&self) -> Result<()> {
        if self.fraction > 0.0 && self.fraction < 1.0 {
            return Ok(());
        }
        Err(Error::option("val_fraction", "more than 0 and less than 1", self.fraction))
    }

    /// Where a folder holds other images, these options may be what changed.
    pub(super) fn told(&self, error: Error) -> Error {
        match error {
            Error::OtherPack { path, expected, found, .. } => Error::OtherPack {
                path,
                expected: format!("{expected}, --val-fraction {} and --val-seed {}", self.fraction, self.seed),
                found: format!("{found}, or images held out by another --val-fraction or --val-seed"),
                advice: "give the --val-fraction and --val-seed of before, or choose another folder",
            },
            other => other,
        }
    }

    /// What says in words how the images were chosen.
    pub(super) fn rule(&self, part: &str) -> String {
        format!("{part} part, {} of each class held out, seed {}", self.fraction, self.seed)
    }

    /// By image, whether it is held out.
    ///
    /// The images of a class are put in the order of a hash of seed and name, and the first are taken: which they are does
    /// not depend on other classes, nor on the order of the source.
    pub(super) fn choose(&self, catalogue: &Catalogue) -> Vec<bool> {
        let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); catalogue.classes().len()];
        for index in 0..catalogue.len() {
            by_class[catalogue.label(index) as usize].push(index);
        }
        let mut held_out = vec![false; catalogue.len()];
        for mut images in by_class {
            let count = self.count(images.len());
            images.sort_by_cached_key(|&index| (self.hash(catalogue.name(index)), index));
            images[..count].iter().for_each(|&index| held_out[index] = true);
        }
        held_out
    }

    /// What the user should know of classes that cannot be in both parts.
    pub(super) fn note(catalogue: &Catalogue) -> Option<String> {
        let mut counts = vec![0usize; catalogue.classes().len()];
        (0..catalogue.len()).for_each(|index| counts[catalogue.label(index) as usize] += 1);
        let few = catalogue.classes().iter().zip(counts).filter(|(_, count)| *count < 2);
        note_of(&few.map(|(class, _)| class.as_str()).collect::<Vec<_>>())
    }

    /// Images that are held out of `n`.
    fn count(&self, n: usize) -> usize {
        let share = (n as f64 * self.fraction).round() as usize;
        share.max(1).min(n.saturating_sub(1))
    }

    fn hash(&self, name: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.seed.to_le_bytes());
        digest.update(name);
        digest.finalize().into()
    }
}

/// The note on classes with less than two images.
fn note_of(few: &[&str]) -> Option<String> {
    let first: Vec<String> = few.iter().take(NAMED).map(|class| format!("{class:?}")).collect();
    let more = match few.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let classes = if few.len() == 1 { "1 class has".to_string() } else { format!("{} classes have", few.len()) };
    (!few.is_empty()).then(|| {
        format!(
            "{classes} fewer than two images, too few to be in both packs: {}{more}; a single image is in the training pack, \
             and validation tells nothing of its class",
            first.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_with_too_few_images_are_named() {
        assert_eq!(note_of(&[]), None);
        let one = note_of(&["a"]).unwrap();
        assert!(one.starts_with("1 class has fewer than two images, too few to be in both packs: \"a\"; "), "{one}");
        let many = note_of(&["a", "b", "c", "d", "e", "f", "g"]).unwrap();
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
