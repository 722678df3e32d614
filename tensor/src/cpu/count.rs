//! Counting, on one thread: it is used for the ranks of one batch.

use super::Buffer;
use super::compiled::CpuKernel;
use crate::ops::count::CountGe;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> CpuKernel<CountGe> for Cpu<E> {
    fn run(
        &self,
        op: &CountGe,
        (_, [x]): ([&Buffer<E>; 0], [&Buffer<u32>; 1]),
    ) -> Result<([Buffer<E>; 0], [Buffer<u32>; 1])> {
        let &CountGe { len, threshold } = op;
        let count = x.as_slice()[..len].iter().filter(|&&v| v >= threshold).count();
        Ok(([], [self.upload_ints(&[count as u32])?]))
    }
}
