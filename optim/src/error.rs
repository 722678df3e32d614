//! Errors.

use std::fmt;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of an optimizer or a schedule. Each variant names the setting or parameter.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    Setting {
        /// The setting's name; for a multiplier, with the parameter's name.
        setting: String,
        /// The allowed range in words.
        range: &'static str,
        /// The value given.
        got: String,
    },
    /// A parameter and its gradient or state have different shapes.
    Shape {
        /// The parameter.
        parameter: String,
        /// The tensor that differs: the gradient, or one of the optimizer's state.
        what: String,
        /// The parameter's shape.
        expected: Vec<usize>,
        /// The shape of the other tensor.
        got: Vec<usize>,
    },
    /// A parameter is given twice in one step.
    Duplicate {
        /// The parameter.
        parameter: String,
    },
    /// The gradients of a step are given in parts to an optimizer that clips them by their global norm.
    PartialStep,
    /// The global norm of the gradients, by which they are to be clipped, is not finite. Nothing was updated.
    Norm {
        /// The norm.
        norm: f64,
    },
    /// The state to restore does not belong to this optimizer or schedule.
    State {
        /// The tensor or field.
        tensor: String,
        /// The problem and what to do.
        what: String,
    },
    /// The device failed during a step: some parameters are updated, others are not.
    Step {
        /// The operation that failed.
        source: tensor::Error,
    },
    /// The device has no memory for a tensor of the state.
    Tensor {
        /// The parameter, or the tensor of state.
        parameter: String,
        /// The operation that failed.
        source: tensor::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { setting, range, got } => write!(f, "{setting} must be {range}, got {got}"),
            Self::Shape { parameter, what, expected, got } => {
                write!(f, "parameter `{parameter}` has shape {expected:?}, but its {what} has shape {got:?}")
            }
            Self::Duplicate { parameter } => {
                write!(f, "parameter `{parameter}` is given twice in one step; names must be unique")
            }
            Self::PartialStep => {
                write!(f, "clipping by the global norm needs all gradients of a step at once: give them in one call")
            }
            Self::Norm { norm } => {
                write!(f, "the global norm of the gradients is {norm}, so they cannot be clipped; nothing was updated")
            }
            Self::State { tensor, what } => write!(f, "optimizer state `{tensor}`: {what}"),
            Self::Step { source } => {
                write!(f, "the device failed in a step; continue from the last checkpoint: {source}")
            }
            Self::Tensor { parameter, source } => write!(f, "parameter `{parameter}`: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Step { source } | Self::Tensor { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Error {
    pub(crate) fn setting(setting: impl Into<String>, range: &'static str, got: impl ToString) -> Self {
        Self::Setting { setting: setting.into(), range, got: got.to_string() }
    }

    pub(crate) fn state(tensor: impl Into<String>, what: impl Into<String>) -> Self {
        Self::State { tensor: tensor.into(), what: what.into() }
    }
}

/// A range of numbers that a setting may take.
#[derive(Clone, Copy)]
pub(crate) enum Range {
    /// At least 0.
    NonNegative,
    /// Above 0.
    Positive,
    /// At least 0, below 1.
    Fraction,
    /// Above 0, at most 1.
    Factor,
    /// At least 0, at most 1.
    Part,
}

/// Fails unless `value` is finite and in `range`.
pub(crate) fn check(setting: &str, range: Range, value: f64) -> Result<()> {
    let (fits, range) = match range {
        Range::NonNegative => (value >= 0.0, "a finite number of at least 0"),
        Range::Positive => (value > 0.0, "a finite number above 0"),
        Range::Fraction => ((0.0..1.0).contains(&value), "at least 0 and below 1"),
        Range::Factor => (value > 0.0 && value <= 1.0, "above 0 and at most 1"),
        Range::Part => ((0.0..=1.0).contains(&value), "at least 0 and at most 1"),
    };
    if fits && value.is_finite() {
        return Ok(());
    }
    Err(Error::setting(setting, range, value))
}
