//! The errors of this crate.

/// The result of a tensor operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a tensor operation or a device.
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
        /// The shape that was given.
        got: Vec<usize>,
    },
    /// A setting is outside its range.
    #[error("{op}: {what}")]
    Argument {
        /// The operation.
        op: &'static str,
        /// The setting, its range and its value.
        what: String,
    },
    /// Out of memory.
    #[error("{device}: out of memory: {needed} bytes needed")]
    Memory {
        /// The device.
        device: String,
        /// Bytes of the buffer that was refused.
        needed: u64,
    },
    /// The device cannot be used, or failed.
    #[error("{device}: {what}")]
    Device {
        /// The device.
        device: String,
        /// The cause and the remedy.
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
