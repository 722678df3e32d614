//! Counting, in one cube: there are as many values as images in a batch.

use cubecl::prelude::*;

use super::block_reduce::{Reduction, block_reduce};
use super::launch::UNITS;
use super::{Buffer, Gpu, IntBuffer};
use crate::ops::count::CountGe;
use crate::{Kernel, Result};

#[cube(launch)]
fn count_kernel(x: &Array<u32>, count: &mut Array<u32>, threshold: u32) {
    let mut unit_count = 0u32;
    let mut i = UNIT_POS as usize;
    while i < x.len() {
        if x[i] >= threshold {
            unit_count += 1u32;
        }
        i += UNITS as usize;
    }
    let sum = block_reduce::<u32>(unit_count, Reduction::Sum, UNITS as usize);
    if UNIT_POS == 0 {
        count[0] = sum;
    }
}

impl<R: Runtime> Kernel<CountGe> for Gpu<R> {
    fn run(&self, op: &CountGe, (_, [x]): ([&Buffer; 0], [&IntBuffer; 1])) -> Result<([Buffer; 0], [IntBuffer; 1])> {
        let &CountGe { len, threshold } = op;
        if len == 0 {
            return Ok(([], [IntBuffer::new(self.create(bytemuck::bytes_of(&0u32))?, 1)]));
        }
        let count = self.empty_ints(1);
        let dim = CubeDim::new_1d(UNITS);
        count_kernel::launch::<R>(self.client(), CubeCount::new_single(), dim, x.arg(), count.arg(), threshold);
        Ok(([], [count]))
    }
}
