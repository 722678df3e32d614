//! Requests to a run between two steps: to stop, or to save.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A flag that a signal handler or another thread sets and loops check, to stop; beside it one to save a checkpoint and
/// go on. Clones share both.
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
pub struct Stop {
    stop: Arc<AtomicUsize>,
    save: Arc<AtomicBool>,
}

/// The value of the flag for a request without a signal.
const NO_SIGNAL: usize = usize::MAX;

impl Stop {
    /// The shared number of the signal that requests a stop, for a signal handler to set; 0: none.
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.stop)
    }

    /// Requests a stop.
    pub fn request(&self) {
        self.stop.store(NO_SIGNAL, Ordering::Relaxed);
    }

    /// The shared flag that requests a checkpoint, for a signal handler to set.
    pub fn save_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.save)
    }

    /// Requests a checkpoint after the current step.
    pub fn request_save(&self) {
        self.save.store(true, Ordering::Relaxed);
    }

    /// Whether a checkpoint was requested since the last call.
    pub fn take_save_request(&self) -> bool {
        self.save.swap(false, Ordering::Relaxed)
    }

    /// Requests a stop as if by the signal of this number.
    pub fn request_by_signal(&self, signal: usize) {
        self.stop.store(signal, Ordering::Relaxed);
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    /// The signal that requested a stop, if one did.
    pub fn signal(&self) -> Option<usize> {
        Some(self.stop.load(Ordering::Relaxed)).filter(|&signal| signal != 0 && signal != NO_SIGNAL)
    }

    /// Fails with [`Error::Stopped`](crate::Error::Stopped) if a stop was requested.
    pub fn check(&self) -> crate::Result<()> {
        if self.is_requested() {
            return Err(crate::Error::Stopped { signal: self.signal(), saved: None });
        }
        Ok(())
    }
}
