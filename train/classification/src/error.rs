//! Errors.

/// A result with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why an image cannot be counted. Nothing was counted then.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another number of probabilities than classes.
    #[error("{found} probabilities for {classes} classes")]
    Length {
        /// Number of probabilities.
        found: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A label that is no class.
    #[error("label {label} of {classes} classes, which count from 0")]
    Label {
        /// The label.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A probability that is not a number from 0 to 1, up to rounding.
    #[error("the probability of class {class} is {value}")]
    Probability {
        /// The class.
        class: usize,
        /// Its probability.
        value: f32,
    },
}
