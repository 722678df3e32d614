//! Counts what each thread allocates, so that a test can say how much loading a file took.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size() as u64));
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and all memory here is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that `work` allocates on this thread in all, freed ones included.
pub fn allocated_by<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = BYTES.get();
    let result = work();
    (BYTES.get() - before, result)
}
