//! Sizes of launches.

use cubecl::prelude::*;

use super::{Dtype, Gpu, fault};
use crate::{Error, Result};

/// The most numbers of a buffer, and units of a launch. Kernels count with 32 bits, CubeCL's default, and wrap around in
/// silence past them; the last step of a loop, and a grid of more than one dimension, go a little further.
pub(crate) const MAX_LEN: usize = u32::MAX as usize - (1 << 24);

/// Units of a cube in kernels that work value by value.
pub(crate) const UNITS: u32 = 256;

impl<R: Runtime> Gpu<R> {
    /// The widest vector that a device moves in one instruction and that divides each of `lens`.
    pub(crate) fn vector_width(&self, dtype: Dtype, lens: &[usize]) -> usize {
        let fits = |w: &usize| lens.iter().all(|len| len.is_multiple_of(*w));
        self.client().io_optimized_vector_sizes(dtype.bytes()).filter(fits).max().unwrap_or(1)
    }

    /// Cubes for `count` units of work, one a unit: kernels ask for `ABSOLUTE_POS` and return past the end.
    pub(crate) fn cover(&self, count: usize) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new_1d(UNITS);
        if count > MAX_LEN {
            let what = format!("a launch of {count} units is more than the {MAX_LEN} that kernels can count");
            fault::refuse(Error::Device { device: self.name().to_string(), what });
            return (CubeCount::Static(0, 0, 0), dim);
        }
        (cubecl::calculate_cube_count_elemwise(self.client(), count, dim), dim)
    }

    /// At least `count` cubes of `units` units, over several axes where one does not hold them: kernels return where
    /// `CUBE_POS` is not below `count`.
    pub(crate) fn spread(&self, count: usize, units: u32) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new_1d(units);
        (cubecl::calculate_cube_count_elemwise(self.client(), count * units as usize, dim), dim)
    }

    /// Fails for a buffer of `len` values that kernels, whose indices have 32 bits, could not step past the end of.
    pub(crate) fn addressable(&self, op: &'static str, len: usize) -> Result<()> {
        if len <= MAX_LEN {
            return Ok(());
        }
        let what = format!("one tensor has {len} values, and kernels reach {MAX_LEN}; use a smaller batch");
        Err(Error::argument(op, what))
    }
}
