//! Progress events of a run.

use std::path::Path;

use crate::log::{EpochLine, StepLine, ValidationLine};

/// A progress event of a run, to show.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// Everything is set up, the first batch has been loaded, and its step begins.
    Begins,
    /// A step was taken.
    Step(&'a StepLine),
    /// All steps of an epoch were taken. Its validation follows, if there is one.
    EpochTrained(&'a EpochLine),
    /// This many validation images are done.
    Validating(usize),
    /// An epoch was validated.
    Validated(&'a ValidationLine),
    /// A checkpoint was written.
    Saved(&'a Path),
    /// A note for the user that does not end the run.
    Note(String),
}
