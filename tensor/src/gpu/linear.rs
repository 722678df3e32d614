use cubecl::prelude::*;

use super::{Buffer, Gpu, IntBuffer};
use crate::Result;
use crate::ops::linear::{Kernels, Product};

impl<R: Runtime> Kernels for Gpu<R> {
    fn matmul(&self, p: &Product, a: &Buffer, b: &Buffer, bias: Option<&Buffer>, relu: bool) -> Result<Buffer> {
        unimplemented!()
    }
}
