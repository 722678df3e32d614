//! Faults of a device's thread.
//!
//! CubeCL runs each device on a thread of its own. A panic there (out of memory, a driver error, a kernel that does not
//! compile) is caught and dropped: the work is missing, the next synchronisation succeeds, and the panic's message goes
//! to standard error. This module records the panic for the stream that submitted the work and returns it from the next
//! synchronisation. With `RUST_BACKTRACE` set, it is printed as well.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use cubecl::stream_id::StreamId;

use crate::Error;

/// A fault that has not been reported yet.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The error of work that was never submitted to the device.
    Deferred(Error),
    /// The message of a panic on a device's thread.
    Panic(String),
}

struct Entry {
    /// The device's thread; `None` for work that was never submitted.
    thread: Option<String>,
    /// The stream that submitted the work. CubeCL gives each thread a stream.
    stream: u64,
    fault: Fault,
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Installs a panic hook that records panics of device threads. Panics of other threads go to the previous hook.
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        let print = std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0");
        panic::set_hook(Box::new(move |info| {
            let thread = device_thread();
            if print || (thread.is_none() && !QUIET.get()) {
                previous(info);
            }
            if thread.is_some() {
                record(thread, Fault::Panic(message(info)));
            }
        }));
    });
}

/// The name of this thread if it is a device thread, which CubeCL names `DSU-type-index` or `DSD-type-index`.
fn device_thread() -> Option<String> {
    let current = thread::current();
    current.name().filter(|name| name.starts_with("DSU-") || name.starts_with("DSD-")).map(str::to_string)
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown").to_string()
}

/// Records a fault of the current stream, if it is the first: later ones follow from it and say less.
fn record(thread: Option<String>, fault: Fault) {
    let stream = StreamId::current().value;
    let mut entries = entries();
    if !entries.iter().any(|e| e.stream == stream) {
        entries.push(Entry { thread, stream, fault });
    }
}

/// Records an error, to be returned when this thread synchronises.
pub(crate) fn defer(error: Error) {
    record(None, Fault::Deferred(error));
}

/// Takes the first fault of this thread's work since the last call.
pub(crate) fn take() -> Option<Fault> {
    let stream = StreamId::current().value;
    let mut entries = entries();
    let index = entries.iter().position(|e| e.stream == stream)?;
    Some(entries.swap_remove(index).fault)
}

/// Takes the fault of a device's thread, by CubeCL's type and index of the device.
pub(crate) fn take_for_device(kind: u16, index: u16) -> Option<String> {
    let suffix = format!("-{kind}-{index}");
    let mut entries = entries();
    let index = entries.iter().position(|e| e.thread.as_ref().is_some_and(|t| t.ends_with(&suffix)))?;
    match entries.swap_remove(index).fault {
        Fault::Panic(message) => Some(message),
        Fault::Deferred(error) => Some(error.to_string()),
    }
}

fn entries() -> MutexGuard<'static, Vec<Entry>> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls a function that panics where the device's thread has panicked. Returns `None` then, and prints nothing.
pub(crate) fn catch_panic<T>(f: impl FnOnce() -> T) -> Option<T> {
    let outer = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f)).ok();
    QUIET.set(outer);
    result
}

/// The readable part of a panic message: without its backtrace and Rust's preamble.
pub(crate) fn summarize(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && *l != "Caused by:") {
        // Backtraces begin with a heading or a numbered frame.
        if ["Backtrace", "stack backtrace", "No backtrace", "0: "].iter().any(|start| line.starts_with(start)) {
            break;
        }
        lines.push(line.rsplit_once("on an `Err` value: ").map_or(line, |(_, error)| error));
    }
    lines.truncate(4);
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_their_backtraces() {
        let text =
            "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 12\n   0: a::b\n   1: c";
        assert_eq!(summarize(text), "can't allocate buffer of size: 12");
        assert_eq!(summarize("can't: size: 12\nNo backtrace available"), "can't: size: 12");
        assert_eq!(summarize("An error\nCaused by:\n  no luck\nBacktrace:\n  0: x"), "An error no luck");
    }

    #[test]
    fn the_panic_of_a_device_thread_is_recorded_for_its_stream() {
        install_panic_hook();
        let stream = StreamId::current();
        let panics = move || stream.executes(|| panic!("no luck {}", 7));
        assert!(thread::Builder::new().name("DSD-9-9".into()).spawn(panics).unwrap().join().is_err());
        defer(Error::Device { device: "d".into(), what: "later".into() });
        assert!(thread::spawn(take).join().unwrap().is_none(), "another thread got it");
        assert!(matches!(take(), Some(Fault::Panic(text)) if text == "no luck 7"));
        assert!(take().is_none());
    }

    #[test]
    fn a_caught_panic_is_none() {
        install_panic_hook();
        assert_eq!(catch_panic(|| 3), Some(3));
        assert_eq!(catch_panic(|| -> u8 { panic!("unheard") }), None);
    }
}
