//! What went wrong on a device's thread.
//!
//! CubeCL does a device's work on a thread of its own. A panic there (memory short, a driver's error, a kernel that does
//! not build) is caught and forgotten: the work is missing, the next synchronisation succeeds, and the panic's text
//! lands on standard error. Here it is kept for whoever asked for the work, and told at the next synchronisation; with
//! `RUST_BACKTRACE` set it is printed as well.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use cubecl::stream_id::StreamId;

use crate::Error;

/// Something that went wrong and was not told yet.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Work that was not even given to the device.
    Refused(Error),
    /// The message of a panic on a device's thread.
    Panic(String),
}

struct Entry {
    /// The device's thread; none for work that never got there.
    thread: Option<String>,
    /// The stream that asked for the work: CubeCL gives each thread one.
    stream: u64,
    fault: Fault,
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Begins to keep panics of devices' threads, for the rest of the process. Other threads' panics go where they went.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        let print = std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0");
        panic::set_hook(Box::new(move |info| {
            let thread = device_thread();
            if print || (thread.is_none() && !QUIET.get()) {
                before(info);
            }
            if thread.is_some() {
                keep(thread, Fault::Panic(message(info)));
            }
        }));
    });
}

/// The name of this thread if it is a device's: CubeCL's are `DSU-type-index` and `DSD-type-index`.
fn device_thread() -> Option<String> {
    let current = thread::current();
    current.name().filter(|name| name.starts_with("DSU-") || name.starts_with("DSD-")).map(str::to_string)
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown").to_string()
}

/// Keeps a fault for the stream at work, if it is its first: what follows from it says less.
fn keep(thread: Option<String>, fault: Fault) {
    let stream = StreamId::current().value;
    let mut entries = entries();
    if !entries.iter().any(|e| e.stream == stream) {
        entries.push(Entry { thread, stream, fault });
    }
}

/// Keeps an error until this thread synchronises.
pub(crate) fn refuse(error: Error) {
    keep(None, Fault::Refused(error));
}

/// The first thing that went wrong in this thread's work since it was last asked.
pub(crate) fn take() -> Option<Fault> {
    let stream = StreamId::current().value;
    let mut entries = entries();
    let index = entries.iter().position(|e| e.stream == stream)?;
    Some(entries.swap_remove(index).fault)
}

/// The panic of a device's thread that was to begin, for the device of CubeCL's type and index.
pub(crate) fn take_of_device(kind: u16, index: u16) -> Option<String> {
    let suffix = format!("-{kind}-{index}");
    let mut entries = entries();
    let index = entries.iter().position(|e| e.thread.as_ref().is_some_and(|t| t.ends_with(&suffix)))?;
    match entries.swap_remove(index).fault {
        Fault::Panic(message) => Some(message),
        Fault::Refused(error) => Some(error.to_string()),
    }
}

fn entries() -> MutexGuard<'static, Vec<Entry>> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls what may panic on this thread because the device's thread did. `None` if so.
pub(crate) fn quietly<T>(f: impl FnOnce() -> T) -> Option<T> {
    let outer = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f)).ok();
    QUIET.set(outer);
    result
}

/// The part of a message that is for people: without backtrace, and without Rust's words about how it panicked.
pub(crate) fn in_short(text: &str) -> String {
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
        assert_eq!(in_short(text), "can't allocate buffer of size: 12");
        assert_eq!(in_short("can't: size: 12\nNo backtrace available"), "can't: size: 12");
        assert_eq!(in_short("An error\nCaused by:\n  no luck\nBacktrace:\n  0: x"), "An error no luck");
    }

    #[test]
    fn a_device_threads_panic_waits_for_its_stream() {
        watch();
        let stream = StreamId::current();
        let panics = move || stream.executes(|| panic!("no luck {}", 7));
        assert!(thread::Builder::new().name("DSD-9-9".into()).spawn(panics).unwrap().join().is_err());
        refuse(Error::Device { device: "d".into(), what: "later".into() });
        assert!(thread::spawn(take).join().unwrap().is_none(), "another thread got it");
        assert!(matches!(take(), Some(Fault::Panic(text)) if text == "no luck 7"));
        assert!(take().is_none());
    }

    #[test]
    fn quietly_gives_none_for_a_panic() {
        watch();
        assert_eq!(quietly(|| 3), Some(3));
        assert_eq!(quietly(|| -> u8 { panic!("unheard") }), None);
    }
}
