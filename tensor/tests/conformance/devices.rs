//! The backends under test.

use std::sync::LazyLock;

use alexnet_tensor::{Backend, Cpu, Precision};

/// A backend and the accuracy of its number formats, relative to the sum of the absolute values of a sum's terms.
pub trait Tested: Backend<Scalar = f32> {
    /// The accuracy where values are copied, scaled, added or passed to a function.
    fn value_tolerance(&self) -> f64;
    /// The accuracy of matrix products and convolutions.
    fn product_tolerance(&self) -> f64;
}

impl Tested for Cpu<f32> {
    fn value_tolerance(&self) -> f64 {
        if self.precision() == Precision::Bf16 { 1e-2 } else { 1e-6 }
    }
    fn product_tolerance(&self) -> f64 {
        if self.precision() == Precision::Bf16 { 1.5e-2 } else { 3e-6 }
    }
}

#[cfg(feature = "gpu")]
impl<R: alexnet_tensor::gpu::cubecl::Runtime> Tested for alexnet_tensor::Gpu<R> {
    fn value_tolerance(&self) -> f64 {
        match self.precision() {
            alexnet_tensor::gpu::Precision::Bf16 => 1e-2,
            _ => 1e-6,
        }
    }
    fn product_tolerance(&self) -> f64 {
        match self.precision() {
            alexnet_tensor::gpu::Precision::F32 => 3e-6,
            alexnet_tensor::gpu::Precision::Tf32 => 2e-3,
            alexnet_tensor::gpu::Precision::Bf16 => 1.5e-2,
            precision => panic!("no tolerance is known for {precision}"),
        }
    }
}

/// Whether to test the large shapes of the paper's network.
pub fn full_size() -> bool {
    std::env::var("ALEXNET_TEST_FULL").is_ok_and(|v| v == "1")
}

pub fn cpu() -> &'static Cpu<f32> {
    crate::support::cpu32()
}

/// The CPU with activations in `bf16`.
pub fn cpu_bf16() -> &'static Cpu<f32> {
    static CPU: LazyLock<Cpu<f32>> = LazyLock::new(|| {
        let cpu = crate::support::cpu32().clone();
        cpu.with_precision(Precision::Bf16).expect("every CPU computes in bf16")
    });
    &CPU
}

/// The device number in `ALEXNET_TEST_WGPU` (N of `wgpu:N` in `alexnet info`), by default Vulkan in software.
#[cfg(feature = "wgpu")]
pub fn wgpu() -> &'static alexnet_tensor::Gpu<alexnet_tensor::gpu::cubecl::wgpu::WgpuRuntime> {
    use alexnet_tensor::gpu::runtime;
    static DEVICE: LazyLock<alexnet_tensor::Gpu<alexnet_tensor::gpu::cubecl::wgpu::WgpuRuntime>> =
        LazyLock::new(|| {
            let opened = match std::env::var("ALEXNET_TEST_WGPU") {
                Ok(number) => runtime::wgpu::open(number.parse().expect("a device's number"), Precision::F32),
                Err(_) => runtime::wgpu::open_software(Precision::F32),
            };
            opened.expect("a device of wgpu: Debian's package mesa-vulkan-drivers has one in software")
        });
    &DEVICE
}

/// The first NVIDIA GPU in each precision.
#[cfg(feature = "cuda")]
pub fn cuda() -> &'static [alexnet_tensor::Gpu<alexnet_tensor::gpu::cubecl::cuda::CudaRuntime>] {
    use alexnet_tensor::gpu::runtime;
    static DEVICES: LazyLock<Vec<alexnet_tensor::Gpu<alexnet_tensor::gpu::cubecl::cuda::CudaRuntime>>> =
        LazyLock::new(|| {
            let open = |precision| runtime::cuda::open(0, precision).expect("an NVIDIA GPU");
            [Precision::F32, Precision::Tf32, Precision::Bf16].map(open).to_vec()
        });
    &DEVICES
}
