//! Errors.

/// A result with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why vectors or images cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Vectors of another length than the first ones.
    #[error("vectors of {found} values, compared with vectors of {expected}")]
    Length {
        /// Values of the first vectors.
        expected: usize,
        /// Values of the other ones.
        found: usize,
    },
    /// A value that is not finite, or so large that its square is none.
    #[error("vector {vector} has a value {value}: expected finite numbers below 1e15")]
    NotFinite {
        /// The number of the vector.
        vector: usize,
        /// The value.
        value: f32,
    },
    /// A thread could not be started.
    #[error("a thread cannot be started: {what}")]
    Threads {
        /// The system's reason.
        what: String,
    },
    /// A number outside its range.
    #[error("{name} is {found}, expected {expected}")]
    Number {
        /// The number's meaning.
        name: &'static str,
        /// The number.
        found: usize,
        /// The accepted numbers.
        expected: String,
    },
}
