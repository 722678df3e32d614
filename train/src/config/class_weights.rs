//! Weights of classes in the loss.

use std::fmt::{self, Formatter};

use data::Pack;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::{Error, Result};

/// Weights of the classes in the loss.
///
/// ```
/// use alexnet_train::Config;
/// use alexnet_train::config::ClassWeights;
///
/// let config = Config::parse("mine.toml", "data.class_weights = [1, 2.5]")?;
/// assert_eq!(config.data.class_weights, ClassWeights::List(vec![1.0, 2.5]));
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ClassWeights {
    /// All 1.
    #[default]
    None,
    /// Inverse to the number of a class's training images, with a mean of 1 over all images.
    Balanced,
    /// One for each class, in the order of the pack's classes.
    List(Vec<f64>),
}

impl ClassWeights {
    /// The weight of each class of the training pack; empty if all are 1.
    ///
    /// # Errors
    /// [`Error::Setting`] for a list of another length than the pack's classes, and for weights that are negative or not
    /// finite, or all 0.
    pub fn of(&self, pack: &Pack) -> Result<Vec<f32>> {
        let fail = |what: String| Err(Error::setting("data.class_weights", what));
        let classes = pack.classes().len();
        match self {
            Self::None => Ok(Vec::new()),
            Self::Balanced => {
                let mut counts = vec![0u64; classes];
                (0..pack.len()).for_each(|index| counts[pack.label(index) as usize] += 1);
                Ok(balanced(&counts))
            }
            Self::List(weights) if weights.len() != classes => {
                fail(format!("{} weights for the {classes} classes of the pack; give one for each", weights.len()))
            }
            Self::List(weights) => {
                let is_weight = |w: &f64| *w >= 0.0 && (*w as f32).is_finite();
                if weights.iter().all(is_weight) && weights.iter().any(|w| *w > 0.0) {
                    return Ok(weights.iter().map(|w| *w as f32).collect());
                }
                fail(format!("must be numbers of at least 0, one of them above 0, got {weights:?}"))
            }
        }
    }
}

/// Weights inverse to the counts, with a mean of 1 over all that are counted; 1 for a class without images.
fn balanced(counts: &[u64]) -> Vec<f32> {
    let images: u64 = counts.iter().sum();
    let classes = counts.iter().filter(|&&count| count > 0).count();
    let weight = |count: u64| images as f64 / (classes as f64 * count as f64);
    counts.iter().map(|&count| if count == 0 { 1.0 } else { weight(count) as f32 }).collect()
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::List(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(ClassWeightsVisitor)
    }
}

struct ClassWeightsVisitor;

impl<'de> Visitor<'de> for ClassWeightsVisitor {
    type Value = ClassWeights;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("none, balanced, or a list of numbers like [1.0, 2.5]")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<ClassWeights, E> {
        match text {
            "none" => Ok(ClassWeights::None),
            "balanced" => Ok(ClassWeights::Balanced),
            _ => {
                let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
                numbers.map(ClassWeights::List).ok_or_else(|| {
                    E::custom(format!("expected none, balanced, or numbers with commas between, got {text:?}"))
                })
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<ClassWeights, A::Error> {
        let mut weights = Vec::new();
        while let Some(weight) = items.next_element::<f64>()? {
            weights.push(weight);
        }
        if weights.is_empty() {
            return Err(A::Error::custom("expected one number per class, got an empty list"));
        }
        Ok(ClassWeights::List(weights))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// All classes that have images weigh the same in sum, and all images together what they weighed before.
        #[test]
        fn balanced_classes_weigh_the_same(counts in prop::collection::vec(0u64..1000, 1..20)) {
            let weights = balanced(&counts);
            let sums: Vec<f64> = weights.iter().zip(&counts).map(|(w, n)| f64::from(*w) * *n as f64).collect();
            let full: Vec<f64> = sums.iter().copied().filter(|sum| *sum > 0.0).collect();
            let images: u64 = counts.iter().sum();
            prop_assert!((full.iter().sum::<f64>() - images as f64).abs() <= 1e-4 * images as f64);
            prop_assert!(full.iter().all(|sum| (sum - full[0]).abs() <= 1e-4 * full[0]), "{sums:?}");
        }
    }
}
