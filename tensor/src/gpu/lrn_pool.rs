use cubecl::prelude::*;

use super::{Buffer, Gpu, IntBuffer};
use crate::Result;
use crate::ops::lrn::Lrn;
use crate::ops::lrn_pool::{Forward, Kernels, in_turn, in_turn_dx, no_base};
use crate::ops::pool::Geometry;

impl<R: Runtime> Kernels for Gpu<R> {
    fn lrn_max_pool(&self, lrn: &Lrn, g: &Geometry, x: &Buffer) -> Result<Forward<Buffer, IntBuffer>> {
        in_turn(self, lrn, g, x)
    }

    fn lrn_max_pool_dx(
        &self,
        lrn: &Lrn,
        g: &Geometry,
        x: &Buffer,
        base: Option<&Buffer>,
        positions: &IntBuffer,
        dy: &Buffer,
    ) -> Result<Buffer> {
        in_turn_dx(self, lrn, g, [x, base.ok_or_else(no_base)?, dy], positions)
    }
}
