//! A message and an exit instead of a bare SIGBUS.

use std::ffi::{CString, c_int, c_void};
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use memmap2::Mmap;
use tensor::printable;

/// Mapped files that can be named; with more, the rest are not.
const SLOTS: usize = 4096;

/// A mapped file. `end` is set last and cleared first, so a reader never sees half of one.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    name: AtomicPtr<CString>,
}

static MAPS: [Slot; SLOTS] =
    [const { Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), name: AtomicPtr::new(ptr::null_mut()) } };
        SLOTS];
static INSTALLED: AtomicBool = AtomicBool::new(false);
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Makes the process print which file was cut, and exit with 1, should a pack be cut short in the very instant in which
/// it is read. Without it the system stops the process without a word. Call it once, before opening packs.
///
/// It installs a handler for SIGBUS. A fault elsewhere is passed on to the handler that was there before.
pub fn exit_on_cut_file() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all-zero is a valid sigaction; the pointers are to live values, and the handler is a function of the
        // signature that SA_SIGINFO asks for, which calls only what is safe in a signal handler.
        let installed = unsafe {
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
            (*action.as_mut_ptr()).sa_sigaction = handler as usize;
            (*action.as_mut_ptr()).sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) == 0
                && BEFORE.set(before.assume_init()).is_ok()
                && libc::sigaction(libc::SIGBUS, action.as_ptr(), ptr::null_mut()) == 0
        };
        INSTALLED.store(installed, Ordering::Release);
    });
}

/// Enters a mapped file.
pub(super) fn watch(path: &Path, map: &Mmap) {
    let Ok(name) = CString::new(printable::name(&path.to_string_lossy()).as_bytes()) else { return };
    if !INSTALLED.load(Ordering::Acquire) {
        return;
    }
    for slot in &MAPS {
        let start = map.as_ptr() as usize;
        if slot.start.compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // Never freed: a handler may be reading it. A slot's next user leaves one name behind.
            slot.name.store(Box::into_raw(Box::new(name)), Ordering::Release);
            slot.end.store(start + map.len(), Ordering::Release);
            return;
        }
    }
}

/// Removes a mapped file before it is unmapped.
pub(super) fn unwatch(map: &Mmap) {
    let start = map.as_ptr() as usize;
    for slot in MAPS.iter().filter(|slot| slot.start.load(Ordering::Acquire) == start) {
        slot.end.store(0, Ordering::Release);
        slot.start.store(0, Ordering::Release);
    }
}

extern "C" fn on_fault(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the system passes a valid siginfo to a handler installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    for slot in &MAPS {
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
    if let Some(before) = BEFORE.get() {
        // SAFETY: `before` is what the system reported. On return the fault happens again, and meets that handler.
        unsafe { libc::sigaction(libc::SIGBUS, before, ptr::null_mut()) };
    }
}
