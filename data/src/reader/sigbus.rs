//! Handler for SIGBUS that prints a message before exiting.

use std::ffi::{CString, c_int, c_void};
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use files::printable;
use memmap2::Mmap;

/// Maximum number of mapped files the handler can name; further files are not registered.
const MAX_SLOTS: usize = 4096;

/// A registered mapped file. `end` is set last and cleared first, so a reader never sees a partial entry.
struct MapSlot {
    start: AtomicUsize,
    end: AtomicUsize,
    name: AtomicPtr<CString>,
}

static SLOTS: [MapSlot; MAX_SLOTS] =
    [const { MapSlot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), name: AtomicPtr::new(ptr::null_mut()) } };
        MAX_SLOTS];
static INSTALLED: AtomicBool = AtomicBool::new(false);
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Installs a SIGBUS handler that prints the name of the truncated file and exits with code 1.
///
/// SIGBUS is raised if a pack is truncated at the moment it is being read; without a handler the system kills the
/// process silently. Call this once, before opening packs. Faults elsewhere are passed on to the previous handler.
///
/// ```
/// alexnet_data::install_sigbus_handler();
/// ```
pub fn install_sigbus_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: an all-zero sigaction is valid; the pointers are to live values, and the handler has the signature
        // SA_SIGINFO requires and calls only async-signal-safe functions.
        let installed = unsafe {
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle_sigbus;
            (*action.as_mut_ptr()).sa_sigaction = handler as usize;
            (*action.as_mut_ptr()).sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, ptr::null(), previous.as_mut_ptr()) == 0
                && PREVIOUS.set(previous.assume_init()).is_ok()
                && libc::sigaction(libc::SIGBUS, action.as_ptr(), ptr::null_mut()) == 0
        };
        INSTALLED.store(installed, Ordering::Release);
    });
}

/// Registers a mapped file.
pub(super) fn register(path: &Path, map: &Mmap) {
    let Ok(name) = CString::new(printable::name(&path.to_string_lossy()).as_bytes()) else { return };
    if !INSTALLED.load(Ordering::Acquire) {
        return;
    }
    for slot in &SLOTS {
        let start = map.as_ptr() as usize;
        if slot.start.compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // Never freed because a handler may be reading it. Reusing a slot leaks one name.
            slot.name.store(Box::into_raw(Box::new(name)), Ordering::Release);
            slot.end.store(start + map.len(), Ordering::Release);
            return;
        }
    }
}

/// Unregisters a mapped file before it is unmapped.
pub(super) fn unregister(map: &Mmap) {
    let start = map.as_ptr() as usize;
    for slot in SLOTS.iter().filter(|slot| slot.start.load(Ordering::Acquire) == start) {
        slot.end.store(0, Ordering::Release);
        slot.start.store(0, Ordering::Release);
    }
}

extern "C" fn handle_sigbus(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the system passes a valid siginfo to a handler installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    for slot in &SLOTS {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Acquire);
        if (start..end).contains(&address) {
            // SAFETY: `end` is set after `name`, and names are never freed.
            let name = unsafe { &*slot.name.load(Ordering::Acquire) };
            let end = b": cut short while it was being read; copy it again, or pack the images again\n";
            for part in [b"error: ".as_slice(), name.as_bytes(), end] {
                // SAFETY: write is safe in a signal handler, and the bytes are alive.
                unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
            }
            // SAFETY: _exit is safe in a signal handler, and does not return.
            unsafe { libc::_exit(1) };
        }
    }
    if let Some(previous) = PREVIOUS.get() {
        // SAFETY: `previous` was reported by the system. On return the fault repeats and reaches that handler.
        unsafe { libc::sigaction(libc::SIGBUS, previous, ptr::null_mut()) };
    }
}
