//! Requests to stop between two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A flag that a signal handler or another thread sets and loops check. Clones share it.
///
/// ```
/// use alexnet_train::Stop;
///
/// let stop = Stop::default();
/// let button = stop.clone();
/// std::thread::spawn(move || button.request()).join().unwrap();
/// assert!(stop.is_requested());
/// assert_eq!(stop.signal(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicUsize>);

/// The value of the flag for a request without a signal.
const NO_SIGNAL: usize = usize::MAX;

impl Stop {
    /// The shared number of the signal that requests a stop, for a signal handler to set; 0: none.
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// Requests a stop.
    pub fn request(&self) {
        self.0.store(NO_SIGNAL, Ordering::Relaxed);
    }

    /// Requests a stop as if by the signal of this number.
    pub fn request_by_signal(&self, signal: usize) {
        self.0.store(signal, Ordering::Relaxed);
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// The signal that requested a stop, if one did.
    pub fn signal(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&signal| signal != 0 && signal != NO_SIGNAL)
    }

    /// Fails with [`Error::Stopped`](crate::Error::Stopped) if a stop was requested.
    pub fn check(&self) -> crate::Result<()> {
        if self.is_requested() {
            return Err(crate::Error::Stopped { signal: self.signal(), saved: None });
        }
        Ok(())
    }
}
