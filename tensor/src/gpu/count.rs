//! Counting: one cube, for a batch's worth of numbers.

use cubecl::prelude::*;

use super::launch::UNITS;
use super::{Buffer, Gpu, IntBuffer};
use crate::ops::count::CountGe;
use crate::{Kernel, Result};

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

impl<R: Runtime> Kernel<CountGe> for Gpu<R> {
    fn run(&self, op: &CountGe, (_, [x]): ([&Buffer; 0], [&IntBuffer; 1])) -> Result<([Buffer; 0], [IntBuffer; 1])> {
        let &CountGe { len, threshold } = op;
        if len == 0 {
            return Ok(([], [IntBuffer::new(self.create(bytemuck::bytes_of(&0u32))?, 1)]));
        }
        let count = self.empty_ints(1);
        let (cubes, dim) = (CubeCount::new_single(), CubeDim::new_1d(UNITS));
        count_kernel::launch::<R>(self.client(), cubes, dim, x.arg(), count.arg(), threshold);
        Ok(([], [count]))
    }
}
