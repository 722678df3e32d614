//! SIGINT (Ctrl-C), SIGTERM and SIGHUP: the first requests a clean stop, a later one exits immediately. SIGUSR1 requests a
//! checkpoint.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use train::Stop;

use crate::console::interrupt;
use crate::failure::{Failure, Result};
use crate::progress::screen;

/// Signals within this time are one request: `timeout` and supervisors signal the process and then its group.
const DEBOUNCE_MS: u64 = 200;
/// Time from one look at the flag to the next, of the thread that answers signals at once.
const WATCH_INTERVAL: Duration = Duration::from_millis(30);
/// Whether the first step of a training has begun, before which there is nothing to save.
static TRAINING: AtomicBool = AtomicBool::new(false);

/// Ignores SIGXFSZ, so that a write beyond the file size limit is an error that names the file.
#[cfg(unix)]
pub fn survive_file_size_limit() -> Result<()> {
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default())
        .map_err(|e| Failure::Failed(format!("cannot listen for signals: {e}")))?;
    Ok(())
}

/// The signals that request a stop. SIGHUP is not among them if `nohup` has it ignored.
fn stop_signals() -> Vec<i32> {
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
    // SAFETY: without a new action, `sigaction` only writes the current one to `action`; all-zero is a valid value.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Exits immediately with the code of `signal`, without saving.
pub fn exit_now(signal: usize) -> ! {
    screen::give_back_in_handler();
    low_level::exit(128i32.wrapping_add(signal as i32))
}

/// Ends the process at the first signal: for commands that have nothing to save.
pub fn exit_on_signals() -> Result<()> {
    let stop = stop_on_signals()?;
    thread::spawn(move || {
        let signal = wait_for_signal(&stop);
        interrupt(&format!("stopped by signal {signal}"));
        files::remove_temporary_files();
        exit_now(signal);
    });
    Ok(())
}

/// Lets SIGUSR1 request a checkpoint, and answers the signals that request a stop at once: before the first step the
/// process ends, afterwards a line says what happens. The work between two looks at the flag may take long.
pub fn answer_signals_of_training(stop: &Stop) -> Result<()> {
    #[cfg(unix)]
    signal_hook::flag::register(libc::SIGUSR1, stop.save_flag())
        .map_err(|e| Failure::Failed(format!("cannot listen for signals: {e}")))?;
    let stop = stop.clone();
    thread::spawn(move || {
        let signal = wait_for_signal(&stop);
        if !TRAINING.load(Ordering::Relaxed) {
            interrupt(&format!("stopped by signal {signal} before the first step: there is nothing to save"));
            files::remove_temporary_files();
            exit_now(signal);
        }
        let again = if signal == SIGINT as usize { "press Ctrl-C again" } else { "send another signal" };
        interrupt(&format!("finishing this step, then saving; {again} to quit now without saving"));
    });
    Ok(())
}

/// Says that the first step of a training begins.
pub fn training_begins() {
    TRAINING.store(true, Ordering::Relaxed);
}

fn wait_for_signal(stop: &Stop) -> usize {
    loop {
        if let Some(signal) = stop.signal() {
            return signal;
        }
        thread::sleep(WATCH_INTERVAL);
    }
}

/// A flag that SIGINT, SIGTERM and SIGHUP set to their number.
pub fn stop_on_signals() -> Result<Stop> {
    const NONE: u64 = u64::MAX;
    let stop = Stop::default();
    let start = Instant::now();
    let first = Arc::new(AtomicU64::new(NONE));
    for signal in stop_signals() {
        let flag = stop.flag();
        let first = Arc::clone(&first);
        let handle = move || {
            let now = start.elapsed().as_millis() as u64;
            match first.compare_exchange(NONE, now, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => flag.store(signal as usize, Ordering::Relaxed),
                Err(then) if now.saturating_sub(then) < DEBOUNCE_MS => {}
                Err(_) => {
                    screen::give_back_in_handler();
                    low_level::exit(128 + signal)
                }
            }
        };
        // SAFETY: the handler only reads the clock, writes atomics and exits: no locks, no allocation.
        unsafe { low_level::register(signal, handle) }
            .map_err(|e| Failure::Failed(format!("cannot listen for signals: {e}")))?;
    }
    Ok(stop)
}
