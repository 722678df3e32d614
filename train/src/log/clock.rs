//! The clock of a run.

use std::time::{Instant, SystemTime};

use super::StepLine;

/// The seconds that a run has trained, without those between a stop and a resume.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds of the sessions before this one.
    before: f64,
    started: Instant,
}

impl Clock {
    /// The clock of a run that goes on after this last line of its log.
    pub fn resume(last: Option<&StepLine>) -> Self {
        Self { before: last.map_or(0.0, |line| line.seconds), started: Instant::now() }
    }

    /// Seconds of training since the run began, to the millisecond.
    pub fn seconds(&self) -> f64 {
        ((self.before + self.started.elapsed().as_secs_f64()) * 1000.0).round() / 1000.0
    }

    /// The time of day, in UTC as in RFC 3339.
    pub fn now() -> String {
        humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
    }
}
