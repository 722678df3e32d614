//! Requests to stop between two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A flag that a signal handler sets and loops check. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// The shared signal number, for a signal handler; 0: none.
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// Requests a stop as if by `signal`.
    pub fn request(&self, signal: usize) {
        self.0.store(signal, Ordering::Relaxed);
    }

    /// The signal that requested a stop, if any.
    pub fn requested(&self) -> Option<usize> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Fails with [`Error::Stopped`](crate::Error::Stopped) if a stop was requested.
    pub fn check(&self) -> crate::Result<()> {
        match self.requested() {
            Some(signal) => Err(crate::Error::Stopped { signal, saved: None }),
            None => Ok(()),
        }
    }
}
