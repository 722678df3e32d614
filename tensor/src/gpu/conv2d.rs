use cubecl::prelude::*;

use super::{Buffer, Gpu, IntBuffer};
use crate::Result;
use crate::ops::conv2d::{Geometry, Kernels};

impl<R: Runtime> Kernels for Gpu<R> {
    fn conv2d(&self, g: &Geometry, x: &Buffer, w: &Buffer, b: Option<&Buffer>, relu: bool) -> Result<Buffer> {
        unimplemented!()
    }
    fn conv2d_dx(&self, g: &Geometry, w: &Buffer, dy: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
    fn conv2d_dw(&self, g: &Geometry, x: &Buffer, dy: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
}
