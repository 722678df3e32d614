//! Sizes of launches: grids, cubes and vectors.

use cubecl::prelude::*;

use super::{Dtype, Gpu, fault};
use crate::{Error, Result};

/// The most values in a buffer, and units in a launch. Kernels count in 32 bits, CubeCL's default, and wrap around
/// silently beyond. The margin is for the last step of a loop and for grids of several dimensions, which go a little past
/// the end.
pub(crate) const MAX_LEN: usize = u32::MAX as usize - (1 << 24);

/// The number of units in a cube of an elementwise kernel.
pub(crate) const UNITS: u32 = 256;

impl<R: Runtime> Gpu<R> {
    /// The widest vector that a device moves in one instruction and that divides each of `lens`.
    pub(crate) fn vector_width(&self, dtype: Dtype, lens: &[usize]) -> usize {
        let fits = |w: &usize| lens.iter().all(|len| len.is_multiple_of(*w));
        self.client().io_optimized_vector_sizes(dtype.bytes()).filter(fits).max().unwrap_or(1)
    }

    /// A grid of at least `count` units, for a kernel of one unit for each value. It compares `ABSOLUTE_POS` with the length
    /// and does nothing past the end. More units than kernels can count are an error at the next download.
    pub fn unit_grid(&self, count: usize) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new_1d(UNITS);
        if count > MAX_LEN {
            let what = format!("a launch of {count} units is more than the {MAX_LEN} that kernels can count");
            fault::defer(Error::Device { device: self.name().to_string(), what });
            return (CubeCount::Static(0, 0, 0), dim);
        }
        (cubecl::calculate_cube_count_elemwise(self.client(), count, dim), dim)
    }

    /// A grid of at least `count` cubes of `units` units, over several axes where one is too short. Kernels do nothing
    /// where `CUBE_POS` is not below `count`.
    pub(crate) fn cube_grid(&self, count: usize, units: u32) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new_1d(units);
        (cubecl::calculate_cube_count_elemwise(self.client(), count * units as usize, dim), dim)
    }

    /// Fails for a buffer of more values than kernels can count.
    pub(crate) fn addressable(&self, op: &'static str, len: usize) -> Result<()> {
        if len <= MAX_LEN {
            return Ok(());
        }
        let what = format!("one tensor has {len} values, and kernels reach {MAX_LEN}; use a smaller batch");
        Err(Error::argument(op, what))
    }
}
