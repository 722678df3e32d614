use cubecl::prelude::*;

use super::{Buffer, Gpu, IntBuffer};
use crate::Result;
use crate::ops::reduce::Kernels;

impl<R: Runtime> Kernels for Gpu<R> {
    fn sum(&self, len: usize, x: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
    fn sum_rows(&self, rows: usize, c: usize, x: &Buffer) -> Result<Buffer> {
        unimplemented!()
    }
    fn max_columns(&self, rows: usize, c: usize, x: &Buffer) -> Result<(Buffer, IntBuffer)> {
        unimplemented!()
    }
    fn all_finite(&self, len: usize, x: &Buffer) -> Result<IntBuffer> {
        unimplemented!()
    }
}
