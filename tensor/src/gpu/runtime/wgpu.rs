//! Vulkan, Metal and DirectX 12.

use cubecl::Runtime;
use cubecl::wgpu::{WgpuDevice, WgpuRuntime};

use crate::gpu::{Gpu, Precision};
use crate::{Error, Result};

/// Opens device `number`.
pub fn open(_number: usize, precision: Precision) -> Result<Gpu<WgpuRuntime>> {
    Gpu::new(WgpuRuntime::client(&WgpuDevice::DefaultDevice), "wgpu", precision)
}

/// Opens Vulkan in software (Mesa's lavapipe), which computes on the CPU: for tests.
pub fn open_software(precision: Precision) -> Result<Gpu<WgpuRuntime>> {
    let _ = |what: String| Error::Device { device: "wgpu".into(), what };
    Gpu::new(WgpuRuntime::client(&WgpuDevice::Cpu), "wgpu in software", precision)
}
