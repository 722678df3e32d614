//! The errors of this crate.

use std::fmt;

/// The result of a tensor operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a tensor operation or a device.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An operand's shape does not fit the operation.
    Shape {
        /// The operation.
        op: &'static str,
        /// The rule that the shape breaks.
        expected: String,
        /// The shape that was given.
        got: Vec<usize>,
    },
    /// A setting is outside its range.
    Argument {
        /// The operation.
        op: &'static str,
        /// The setting, its range and its value.
        what: String,
    },
    /// Out of memory.
    Memory {
        /// The device.
        device: String,
        /// Bytes of the buffer that was refused.
        needed: u64,
    },
    /// The device cannot be used, or failed.
    Device {
        /// The device.
        device: String,
        /// The cause and the remedy.
        what: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { op, expected, got } => write!(f, "{op}: expected {expected}, got shape {got:?}"),
            Self::Argument { op, what } => write!(f, "{op}: {what}"),
            Self::Memory { device, needed } => write!(f, "{device}: out of memory: {needed} bytes needed"),
            Self::Device { device, what } => write!(f, "{device}: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    pub(crate) fn shape(op: &'static str, expected: impl Into<String>, got: &[usize]) -> Self {
        Self::Shape { op, expected: expected.into(), got: got.to_vec() }
    }

    pub(crate) fn argument(op: &'static str, what: impl Into<String>) -> Self {
        Self::Argument { op, what: what.into() }
    }
}
