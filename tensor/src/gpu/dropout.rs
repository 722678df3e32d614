use cubecl::prelude::*;

use super::{Buffer, Gpu, IntBuffer};
use crate::Result;
use crate::ops::dropout::Kernels;
use crate::random::Stream;

impl<R: Runtime> Kernels for Gpu<R> {
    fn dropout(&self, len: usize, x: &Buffer, p: f32, factor: f64, stream: Stream) -> Result<Buffer> {
        unimplemented!()
    }
}
