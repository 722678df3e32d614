//! What can go wrong in this crate.

/// The result of a tensor operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Each variant says which operation, what it expected and what came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operand's shape does not fit the operation.
    #[error("{op}: expected {expected}, got shape {got:?}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The rule that the shape breaks.
        expected: String,
        /// The shape that came.
        got: Vec<usize>,
    },
    /// A setting is outside its range.
    #[error("{op}: {what}")]
    Argument {
        /// The operation.
        op: &'static str,
        /// The setting, its range, and what came.
        what: String,
    },
    /// A buffer could not be had.
    #[error("{device}: out of memory: {needed} bytes needed")]
    Memory {
        /// The device that ran short.
        device: String,
        /// Bytes asked for.
        needed: u64,
    },
    /// The device cannot be used or failed at work.
    #[error("{device}: {what}")]
    Device {
        /// The device.
        device: String,
        /// What is missing or failed, and what to do.
        what: String,
    },
}

impl Error {
    pub(crate) fn shape(op: &'static str, expected: impl Into<String>, got: &[usize]) -> Self {
        Self::Shape { op, expected: expected.into(), got: got.to_vec() }
    }

    pub(crate) fn argument(op: &'static str, what: impl Into<String>) -> Self {
        Self::Argument { op, what: what.into() }
    }
}
