//! What kernels make of weights, kept for as long as the weights stay as they are.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::Pod;

use super::Buffer;
use crate::Result;

/// What was made: the lengths that it follows from.
pub(super) type Kind = [usize; 4];

/// Lies beside a buffer's values, and is emptied when these may change.
///
/// Nothing is kept the first time: weights in training change before they are used again, and what was made of them
/// would only take memory.
pub(super) struct Kept<T> {
    used: AtomicBool,
    made: OnceLock<(Kind, Buffer<T>)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { used: AtomicBool::new(false), made: OnceLock::new() }
    }
}

impl<T: Pod> Kept<T> {
    /// Nothing the first time. Then what `make` gives: it is kept, and given again to whoever asks for the same `kind`. A
    /// buffer keeps one kind only; for others there is nothing.
    pub fn again(&self, kind: Kind, make: impl FnOnce() -> Result<Buffer<T>>) -> Result<Option<Buffer<T>>> {
        if self.made.get().is_none() && self.used.swap(true, Ordering::Relaxed) {
            // If another thread was faster, its result is the same.
            let _ = self.made.set((kind, make()?));
        }
        Ok(self.made.get().filter(|(of, _)| *of == kind).map(|(_, made)| made.clone()))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cpu, Device};

    /// What is kept of a buffer: twice its first value. Counts how often that is made.
    fn read(cpu: &Cpu<f32>, buffer: &super::Buffer<f32>, kind: usize, made: &mut usize) -> Option<f32> {
        let make = || {
            *made += 1;
            cpu.upload(&[2.0 * buffer.as_slice()[0]])
        };
        buffer.kept().again([kind; 4], make).unwrap().map(|kept| kept.as_slice()[0])
    }

    #[test]
    fn it_is_made_the_second_time_kept_and_dropped_with_a_change() {
        let cpu = Cpu::<f32>::new(1).unwrap();
        let mut w = cpu.upload(&[1.0; 5000]).unwrap();
        let mut made = 0;
        for expected in [(None, 0), (Some(2.0), 1), (Some(2.0), 1)] {
            assert_eq!((read(&cpu, &w, 7, &mut made), made), expected);
        }
        // A clone is the same values; another kind is not there.
        assert_eq!((read(&cpu, &w.clone(), 7, &mut made), made), (Some(2.0), 1));
        assert_eq!((read(&cpu, &w, 8, &mut made), made), (None, 1));

        w.make_mut().unwrap()[0] = 4.0;
        assert_eq!((read(&cpu, &w, 7, &mut made), made), (None, 1));
        assert_eq!((read(&cpu, &w, 7, &mut made), made), (Some(8.0), 2));
        // A change of a shared buffer leaves the other holder what it had.
        let other = w.clone();
        w.make_mut().unwrap()[0] = 5.0;
        assert_eq!((read(&cpu, &w, 7, &mut made), made), (None, 2));
        assert_eq!((read(&cpu, &other, 7, &mut made), made), (Some(8.0), 2));
    }
}
