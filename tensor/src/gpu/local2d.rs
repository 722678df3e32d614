use cubecl::prelude::*;

use super::{Buffer, Gpu, IntBuffer};
use crate::Result;
use crate::ops::conv2d::Geometry;
use crate::ops::local2d::Kernels;

impl<R: Runtime> Kernels for Gpu<R> {
    fn local2d(&self, g: &Geometry, x: &Buffer, w: &Buffer, b: Option<&Buffer>) -> Result<Buffer> {
        unimplemented!()
    }
    fn local2d_dx(&self, g: &Geometry, w: &Buffer, dy: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
    fn local2d_dw(&self, g: &Geometry, x: &Buffer, dy: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
}
