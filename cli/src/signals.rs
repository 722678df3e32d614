//! Ctrl-C, the polite kill and a terminal that is closed: the first asks for a clean end, a later one ends at once.

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

/// The signals that ask for an end. `nohup` has SIGHUP ignored, and so it stays.
fn asking() -> Vec<i32> {
    let mut signals = vec![SIGINT, SIGTERM];
    #[cfg(unix)]
    if !is_ignored(libc::SIGHUP) {
        signals.push(libc::SIGHUP);
    }
    signals
}

#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action this only writes the present one, to a place of its type; all-zero is a valid one.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Ends the process as `signal` asks, where there is nothing to be saved.
pub fn end_at_once(signal: usize) -> ! {
    low_level::exit(128i32.wrapping_add(signal as i32))
}

/// A flag that SIGINT, SIGTERM and SIGHUP raise with their number.
pub fn stop_on_signals() -> Result<Stop> {
    const NONE: u64 = u64::MAX;
    let stop = Stop::default();
    let begun = Instant::now();
    let first = Arc::new(AtomicU64::new(NONE));
    for signal in asking() {
        let flag = stop.flag();
        let first = Arc::clone(&first);
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
