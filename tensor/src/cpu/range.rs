//! Address ranges from the system, in which memory is made as it is needed.

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

#[cfg(unix)]
mod system {
    use std::ptr::NonNull;

    use super::HUGE;

    /// Addresses that are tried for first: more than a machine has memory, so that all buffers share one range.
    pub const LARGEST: usize = if size_of::<usize>() < 8 { 1 << 29 } else { 1 << 38 };
    /// Where that is refused.
    pub const SMALLER: usize = 1 << 28;

    /// Addresses kept for this program, the first of them with memory behind.
    #[derive(Debug)]
    pub struct Range {
        mapping: NonNull<libc::c_void>,
        mapped: usize,
        /// From the mapping's start to the first huge page.
        offset: usize,
        committed: usize,
    }

    // SAFETY: a mapping belongs to the process; nothing in it is bound to a thread.
    unsafe impl Send for Range {}

    impl Range {
        pub fn reserve(len: usize) -> Option<Self> {
            let mapped = len.checked_add(HUGE)?;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
            // SAFETY: a new mapping at a place of the system's choice.
            let mapping = unsafe { libc::mmap(std::ptr::null_mut(), mapped, libc::PROT_NONE, flags, -1, 0) };
            let mapping = NonNull::new(mapping).filter(|m| m.as_ptr() != libc::MAP_FAILED)?;
            let offset = mapping.as_ptr().align_offset(HUGE);
            let range = Self { mapping, mapped, offset, committed: 0 };
            range.prefer_huge_pages(0, len);
            Some(range)
        }

        pub fn len(&self) -> usize {
            self.mapped - HUGE
        }

        pub fn start(&self) -> NonNull<u8> {
            // SAFETY: the offset is within the mapping: less than a huge page, by which it is longer.
            unsafe { self.mapping.cast().add(self.offset) }
        }

        /// Puts memory, zeros at first, behind the first `len` addresses at least; says whether the system has it.
        pub fn commit(&mut self, len: usize) -> bool {
            let len = len.next_multiple_of(HUGE).min(self.len());
            if len <= self.committed {
                return true;
            }
            // SAFETY: within the mapping, and nobody uses these addresses yet.
            let done = unsafe {
                let from = self.start().add(self.committed).as_ptr().cast();
                libc::mprotect(from, len - self.committed, libc::PROT_READ | libc::PROT_WRITE) == 0
            };
            if done {
                self.committed = len;
            }
            done
        }

        /// Gives back the memory behind all addresses but the first `len`, which nobody may use any more.
        pub fn give_back(&mut self, len: usize) {
            let len = len.next_multiple_of(HUGE);
            if len >= self.committed {
                return;
            }
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
            // SAFETY: replaces a part of the mapping that nobody uses, as the caller says.
            let new = unsafe {
                let from = self.start().add(len).as_ptr().cast();
                libc::mmap(from, self.committed - len, libc::PROT_NONE, flags, -1, 0)
            };
            // Refused, it stays as it was.
            if new != libc::MAP_FAILED {
                self.prefer_huge_pages(len, self.committed);
                self.committed = len;
            }
        }

        /// Kernels walk over many places of a large buffer at a time, more than the processor remembers small pages for.
        fn prefer_huge_pages(&self, from: usize, to: usize) {
            #[cfg(target_os = "linux")]
            // SAFETY: within the mapping; the advice changes no content. Where it is refused nothing is lost.
            unsafe {
                libc::madvise(self.start().add(from).as_ptr().cast(), to - from, libc::MADV_HUGEPAGE);
            }
            #[cfg(not(target_os = "linux"))]
            let _ = (from, to);
        }
    }

    impl Drop for Range {
        fn drop(&mut self) {
            // SAFETY: the mapping is this range's, and its users hold the range.
            unsafe { libc::munmap(self.mapping.as_ptr(), self.mapped) };
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::ptr::NonNull;

    use super::HUGE;

    /// No range is only addresses here: just what is needed, in larger pieces.
    pub const LARGEST: usize = 1 << 26;
    pub const SMALLER: usize = 1 << 24;

    /// Memory from the allocator.
    #[derive(Debug)]
    pub struct Range(Vec<u64>);

    impl Range {
        pub fn reserve(len: usize) -> Option<Self> {
            bytemuck::allocation::try_zeroed_vec(len.checked_add(HUGE)?.div_ceil(8)).ok().map(Self)
        }

        pub fn len(&self) -> usize {
            self.0.len() * 8 - HUGE
        }

        pub fn start(&self) -> NonNull<u8> {
            let first = NonNull::from(self.0.as_slice()).cast::<u8>();
            // SAFETY: the offset is less than a huge page, by which the memory is longer.
            unsafe { first.add(first.align_offset(HUGE)) }
        }

        pub fn commit(&mut self, _: usize) -> bool {
            true
        }

        pub fn give_back(&mut self, _: usize) {}
    }
}

pub(super) use system::Range;

/// A range of at least `len` addresses, of many more if the system has them.
pub(super) fn reserve(len: usize) -> Option<Range> {
    let sizes = [system::LARGEST, system::SMALLER, len];
    sizes.into_iter().filter(|&size| size >= len).find_map(|size| Range::reserve(size.checked_next_multiple_of(HUGE)?))
}
