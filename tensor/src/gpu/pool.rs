use cubecl::prelude::*;

use super::{Buffer, Gpu, IntBuffer};
use crate::Result;
use crate::ops::pool::{Geometry, Kernels};

impl<R: Runtime> Kernels for Gpu<R> {
    fn max_pool(&self, g: &Geometry, x: &Buffer) -> Result<(Buffer, IntBuffer)> {
        unimplemented!()
    }
    fn max_pool_dx(&self, g: &Geometry, positions: &IntBuffer, dy: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
    fn average_pool(&self, g: &Geometry, x: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
    fn average_pool_dx(&self, g: &Geometry, dy: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
}
