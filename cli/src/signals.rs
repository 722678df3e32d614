//! Ctrl-C and the polite kill: the first asks for a clean end, a second one ends at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use train::Stop;

use crate::failure::{Failure, Result};

/// Turns writing past the file size limit from a death by signal into an error that names the file.
#[cfg(unix)]
pub fn survive_file_size_limit() -> Result<()> {
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default())
        .map_err(|e| Failure::Failed(format!("cannot listen for signals: {e}")))?;
    Ok(())
}

/// A flag that SIGINT and SIGTERM raise with their number.
pub fn stop_on_signals() -> Result<Stop> {
    let stop = Stop::default();
    let again = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let register = || {
            // In this order a second signal finds the flag set by the first.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            signal_hook::flag::register(signal, Arc::clone(&again))?;
            signal_hook::flag::register_usize(signal, stop.flag(), signal as usize)
        };
        register().map_err(|e: std::io::Error| Failure::Failed(format!("cannot listen for signals: {e}")))?;
    }
    Ok(stop)
}
