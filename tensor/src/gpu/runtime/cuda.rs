//! NVIDIA GPUs.

use cubecl::Runtime;
use cubecl::cuda::{CudaDevice, CudaRuntime};

use crate::Result;
use crate::gpu::{Gpu, Precision};

/// Opens device `number`.
pub fn open(number: usize, precision: Precision) -> Result<Gpu<CudaRuntime>> {
    Gpu::new(CudaRuntime::client(&CudaDevice::new(number)), format!("cuda:{number}"), precision)
}
