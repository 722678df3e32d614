//! Ctrl-C and the polite kill: the first asks for a clean end, a later one ends at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use train::Stop;

use crate::failure::{Failure, Result};

/// Signals of one request: `timeout` and supervisors send theirs to the process and again to its group.
const TOGETHER_MS: u64 = 500;

/// Turns writing past the file size limit from a death by signal into an error that names the file.
#[cfg(unix)]
pub fn survive_file_size_limit() -> Result<()> {
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default())
        .map_err(|e| Failure::Failed(format!("cannot listen for signals: {e}")))?;
    Ok(())
}

/// A flag that SIGINT and SIGTERM raise with their number.
pub fn stop_on_signals() -> Result<Stop> {
    const NONE: u64 = u64::MAX;
    let stop = Stop::default();
    let (begun, first) = (Instant::now(), Arc::new(AtomicU64::new(NONE)));
    for signal in [SIGINT, SIGTERM] {
        let (flag, first) = (stop.flag(), Arc::clone(&first));
        let handle = move || {
            let now = begun.elapsed().as_millis() as u64;
            match first.compare_exchange(NONE, now, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => flag.store(signal as usize, Ordering::Relaxed),
                Err(then) if now.saturating_sub(then) < TOGETHER_MS => {}
                Err(_) => low_level::exit(128 + signal),
            }
        };
        // SAFETY: the handler reads the clock, stores in atomics and ends the process: no locks, no memory.
        unsafe { low_level::register(signal, handle) }
            .map_err(|e| Failure::Failed(format!("cannot listen for signals: {e}")))?;
    }
    Ok(stop)
}
