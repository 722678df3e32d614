//! Asking a run to end between two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A flag that a signal handler raises and loops look at. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// The shared number, for a signal handler to store the signal's into; 0 is "go on".
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// Asks for an end as if by `signal`.
    pub fn request(&self, signal: usize) {
        self.0.store(signal, Ordering::Relaxed);
    }

    /// The signal that asked for an end, if one did.
    pub fn requested(&self) -> Option<usize> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Fails with [`Error::Stopped`](crate::Error::Stopped) if an end was asked for.
    pub fn check(&self) -> crate::Result<()> {
        match self.requested() {
            Some(signal) => Err(crate::Error::Stopped { signal, saved: None }),
            None => Ok(()),
        }
    }
}
