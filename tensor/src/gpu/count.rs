//! Counting: one cube, for a batch's worth of numbers.

use cubecl::prelude::*;

use super::launch::UNITS;
use super::{Gpu, IntBuffer};
use crate::Result;
use crate::ops::count::Kernels;

#[cube(launch)]
fn count_kernel(x: &Array<u32>, count: &mut Array<u32>, least: u32) {
    let mut counts = SharedMemory::<u32>::new(UNITS as usize);
    let mut own = 0u32;
    let mut i = UNIT_POS as usize;
    while i < x.len() {
        if x[i] >= least {
            own += 1u32;
        }
        i += UNITS as usize;
    }
    counts[UNIT_POS as usize] = own;
    sync_cube();
    if UNIT_POS == 0 {
        let mut sum = 0u32;
        for unit in 0..UNITS {
            sum += counts[unit as usize];
        }
        count[0] = sum;
    }
}

impl<R: Runtime> Kernels for Gpu<R> {
    fn count_at_least(&self, len: usize, x: &IntBuffer, least: u32) -> Result<IntBuffer> {
        if len == 0 {
            return Ok(IntBuffer::new(self.create(bytemuck::bytes_of(&0u32))?, 1));
        }
        let count = self.empty_ints(1);
        let (cubes, dim) = (CubeCount::new_single(), CubeDim::new_1d(UNITS));
        count_kernel::launch::<R>(self.client(), cubes, dim, x.arg(), count.arg(), least);
        Ok(count)
    }
}
