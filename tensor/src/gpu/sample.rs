//! Random values, drawn on the host.
//!
//! The network of a seed is the same on every device, bit for bit. The host draws normals in double precision, which
//! many devices lack and none need round alike; and parameters are drawn once a run.

use cubecl::prelude::*;

use super::{Buffer, Gpu};
use crate::ops::sample::Kernels;
use crate::random::Stream;
use crate::{Cpu, Device, Result};

impl<R: Runtime> Kernels for Gpu<R> {
    fn sample_normal(&self, len: usize, mean: f64, deviation: f64, stream: Stream) -> Result<Buffer> {
        self.upload(host()?.sample_normal(len, mean, deviation, stream)?.as_slice())
    }

    fn sample_uniform(&self, len: usize, low: f64, high: f64, stream: Stream) -> Result<Buffer> {
        self.upload(host()?.sample_uniform(len, low, high, stream)?.as_slice())
    }
}

/// The backend of the host, on all its threads.
fn host() -> Result<Cpu<f32>> {
    Cpu::new(std::thread::available_parallelism().map_or(1, usize::from))
}
