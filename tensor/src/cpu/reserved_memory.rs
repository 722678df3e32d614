//! Address ranges reserved from the system. Memory is committed to them as it is needed.

/// Bytes of a huge page.
const HUGE_PAGE: usize = 2 << 20;

#[cfg(unix)]
mod system {
    use std::ptr::NonNull;

    use super::HUGE_PAGE;

    /// The length that is tried first: more than a machine has memory, so that all buffers share one range.
    pub const LARGEST: usize = if size_of::<usize>() < 8 { 1 << 29 } else { 1 << 38 };
    /// The length that is tried next.
    pub const SMALLER: usize = 1 << 28;

    /// A reserved range of addresses, of which a prefix has memory.
    #[derive(Debug)]
    pub struct ReservedMemory {
        mapping: NonNull<libc::c_void>,
        mapped: usize,
        /// Bytes from the mapping's start to the first huge page, where the range starts.
        offset: usize,
        /// Bytes of the prefix that has memory.
        committed: usize,
    }

    // SAFETY: a mapping belongs to the process; nothing in it is bound to a thread.
    unsafe impl Send for ReservedMemory {}

    impl ReservedMemory {
        pub fn reserve(len: usize) -> Option<Self> {
            let mapped = len.checked_add(HUGE_PAGE)?;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
            // SAFETY: a new mapping at an address that the system chooses.
            let mapping = unsafe { libc::mmap(std::ptr::null_mut(), mapped, libc::PROT_NONE, flags, -1, 0) };
            let mapping = NonNull::new(mapping).filter(|m| m.as_ptr() != libc::MAP_FAILED)?;
            let offset = mapping.as_ptr().align_offset(HUGE_PAGE);
            let memory = Self { mapping, mapped, offset, committed: 0 };
            memory.prefer_huge_pages(0, len);
            Some(memory)
        }

        pub fn len(&self) -> usize {
            self.mapped - HUGE_PAGE
        }

        pub fn start(&self) -> NonNull<u8> {
            // SAFETY: the offset is less than a huge page, by which the mapping is longer than the range.
            unsafe { self.mapping.cast().add(self.offset) }
        }

        /// Commits memory, zeros at first, to at least the first `len` addresses. Returns whether the system has it.
        pub fn commit(&mut self, len: usize) -> bool {
            let len = len.next_multiple_of(HUGE_PAGE).min(self.len());
            if len <= self.committed {
                return true;
            }
            // SAFETY: within the mapping, and these addresses are not in use yet.
            let status = unsafe {
                let from = self.start().add(self.committed).as_ptr().cast();
                libc::mprotect(from, len - self.committed, libc::PROT_READ | libc::PROT_WRITE)
            };
            let is_committed = status == 0;
            if is_committed {
                self.committed = len;
            }
            is_committed
        }

        /// Releases the memory after the first `len` addresses to the system. It must not be in use.
        pub fn release_after(&mut self, len: usize) {
            let len = len.next_multiple_of(HUGE_PAGE);
            if len >= self.committed {
                return;
            }
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
            // SAFETY: replaces a part of the mapping that is not in use, as the caller promises.
            let new = unsafe {
                let from = self.start().add(len).as_ptr().cast();
                libc::mmap(from, self.committed - len, libc::PROT_NONE, flags, -1, 0)
            };
            // If the system refuses, the memory stays committed.
            if new != libc::MAP_FAILED {
                self.prefer_huge_pages(len, self.committed);
                self.committed = len;
            }
        }

        /// Asks for huge pages. Kernels access many places of a large buffer at a time, more than a TLB holds small
        /// pages.
        fn prefer_huge_pages(&self, from: usize, to: usize) {
            #[cfg(target_os = "linux")]
            // SAFETY: within the mapping; the advice changes no content. A refusal costs only speed.
            unsafe {
                libc::madvise(self.start().add(from).as_ptr().cast(), to - from, libc::MADV_HUGEPAGE);
            }
            #[cfg(not(target_os = "linux"))]
            let _ = (from, to);
        }
    }

    impl Drop for ReservedMemory {
        fn drop(&mut self) {
            // SAFETY: the mapping belongs to this value, which its users keep alive.
            unsafe { libc::munmap(self.mapping.as_ptr(), self.mapped) };
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::ptr::NonNull;

    use super::HUGE_PAGE;

    /// The lengths that are tried. Short ones: the allocator commits all memory at once.
    pub const LARGEST: usize = 1 << 26;
    pub const SMALLER: usize = 1 << 24;

    /// Memory from the allocator.
    #[derive(Debug)]
    pub struct ReservedMemory(Vec<u64>);

    impl ReservedMemory {
        pub fn reserve(len: usize) -> Option<Self> {
            bytemuck::allocation::try_zeroed_vec(len.checked_add(HUGE_PAGE)?.div_ceil(8)).ok().map(Self)
        }

        pub fn len(&self) -> usize {
            self.0.len() * 8 - HUGE_PAGE
        }

        pub fn start(&self) -> NonNull<u8> {
            let first = NonNull::from(self.0.as_slice()).cast::<u8>();
            // SAFETY: the offset is less than a huge page, by which the memory is longer.
            unsafe { first.add(first.align_offset(HUGE_PAGE)) }
        }

        pub fn commit(&mut self, _: usize) -> bool {
            true
        }

        pub fn release_after(&mut self, _: usize) {}
    }
}

pub(super) use system::ReservedMemory;

/// Reserves a range of at least `len` addresses, and of many more if the system allows it.
pub(super) fn reserve(len: usize) -> Option<ReservedMemory> {
    let lengths = [system::LARGEST, system::SMALLER, len].into_iter().filter(|&tried| tried >= len);
    lengths.filter_map(|tried| tried.checked_next_multiple_of(HUGE_PAGE)).find_map(ReservedMemory::reserve)
}
