//! Counting. A batch's worth of numbers: no threads.

use crate::ops::count::Kernels;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn count_at_least(&self, len: usize, x: &Self::Ints, least: u32) -> Result<Self::Ints> {
        let count = x.as_slice()[..len].iter().filter(|&&v| v >= least).count();
        self.upload_ints(&[count as u32])
    }
}
