use cubecl::prelude::*;

use super::{Buffer, Gpu, IntBuffer};
use crate::Result;
use crate::ops::sample::Kernels;
use crate::random::Stream;

impl<R: Runtime> Kernels for Gpu<R> {
    fn sample_normal(&self, len: usize, mean: f64, deviation: f64, stream: Stream) -> Result<Buffer> {
        unimplemented!()
    }
    fn sample_uniform(&self, len: usize, low: f64, high: f64, stream: Stream) -> Result<Buffer> {
        unimplemented!()
    }
}
