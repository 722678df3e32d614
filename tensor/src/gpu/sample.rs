//! Random values, sampled on the host.
//!
//! A seed gives the same network on every device, bit for bit. The host samples normals in double precision, which many
//! devices lack or round differently. Speed does not matter, since parameters are sampled once a run.

use cubecl::prelude::*;

use super::{Buffer, Gpu};
use crate::ops::sample::{SampleNormal, SampleUniform};
use crate::{Cpu, Device, Kernel, Result};

impl<R: Runtime> Kernel<SampleNormal> for Gpu<R> {
    fn run(&self, op: &SampleNormal, _: [&Buffer; 0]) -> Result<[Buffer; 1]> {
        let [values] = host()?.run(op, [])?;
        Ok([self.upload(values.as_slice())?])
    }
}

impl<R: Runtime> Kernel<SampleUniform> for Gpu<R> {
    fn run(&self, op: &SampleUniform, _: [&Buffer; 0]) -> Result<[Buffer; 1]> {
        let [values] = host()?.run(op, [])?;
        Ok([self.upload(values.as_slice())?])
    }
}

/// The backend of the host, on all its threads.
fn host() -> Result<Cpu<f32>> {
    Cpu::new(std::thread::available_parallelism().map_or(1, usize::from))
}
