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
    /// What `make` gives. From the second time on it is kept, and given again to whoever asks for the same `kind`; a
    /// buffer keeps one kind only.
    pub fn get_or_make(&self, kind: Kind, make: impl FnOnce() -> Result<Buffer<T>>) -> Result<Buffer<T>> {
        match self.made.get() {
            Some((of, made)) if *of == kind => return Ok(made.clone()),
            Some(_) => return make(),
            None => {}
        }
        let again = self.used.swap(true, Ordering::Relaxed);
        let made = make()?;
        if again {
            // If another thread was faster, its result is the same.
            let _ = self.made.set((kind, made.clone()));
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cpu, Device};

    /// Counts how often a value is made of a buffer's first one.
    fn read(cpu: &Cpu<f32>, buffer: &super::Buffer<f32>, kind: usize, made: &mut usize) -> f32 {
        let make = || {
            *made += 1;
            cpu.upload(&[2.0 * buffer.as_slice()[0]])
        };
        buffer.kept().get_or_make([kind; 4], make).unwrap().as_slice()[0]
    }

    #[test]
    fn it_is_made_twice_kept_and_dropped_with_a_change() {
        let cpu = Cpu::<f32>::new(1).unwrap();
        let mut w = cpu.upload(&[1.0; 5000]).unwrap();
        let mut made = 0;
        for expected in [1, 2, 2, 2] {
            assert_eq!(read(&cpu, &w, 7, &mut made), 2.0);
            assert_eq!(made, expected);
        }
        // A clone is the same values; another kind is made each time.
        assert_eq!((read(&cpu, &w.clone(), 7, &mut made), made), (2.0, 2));
        assert_eq!((read(&cpu, &w, 8, &mut made), made), (2.0, 3));

        w.make_mut().unwrap()[0] = 4.0;
        assert_eq!((read(&cpu, &w, 7, &mut made), made), (8.0, 4));
        // A change of a shared buffer leaves the other holder what it had.
        let other = w.clone();
        assert_eq!((read(&cpu, &w, 7, &mut made), made), (8.0, 5));
        w.make_mut().unwrap()[0] = 5.0;
        assert_eq!((read(&cpu, &w, 7, &mut made), made), (10.0, 6));
        assert_eq!((read(&cpu, &other, 7, &mut made), made), (8.0, 6));
    }
}
