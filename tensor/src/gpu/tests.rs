//! Tests of faults, on Vulkan in software: a fault is an error that names the device, and the next work succeeds.

use cubecl::wgpu::WgpuRuntime;

use super::{Buffer, Dtype, Gpu, MAX_LEN, Precision, runtime};
use crate::ops::activation::{Activation, ActivationForward};
use crate::{Device as _, Error, Kernel as _};

fn gpu() -> Gpu<WgpuRuntime> {
    runtime::wgpu::open_software(Precision::F32).expect("Vulkan in software: Debian's package mesa-vulkan-drivers")
}

/// A kernel runs and its result comes back.
fn works(gpu: &Gpu<WgpuRuntime>) {
    let x = gpu.upload(&[-1.5, 0.0, 2.5]).unwrap();
    let [y] = gpu.run(&ActivationForward { f: Activation::Relu, len: 3 }, [&x]).unwrap();
    assert_eq!(gpu.download(&y).unwrap(), [0.0, 0.0, 2.5]);
}

fn device_error(error: Error) -> String {
    match error {
        Error::Device { device, what } => {
            assert!(device.starts_with("wgpu:"), "{device}");
            what
        }
        other => panic!("{other}"),
    }
}

#[test]
fn buffers_longer_than_kernels_can_index_are_refused() {
    let gpu = gpu();
    for len in [MAX_LEN + 1, 1 << 32, (1 << 32) + 5, usize::MAX / 2] {
        let what = device_error(gpu.full(len, 1.0).unwrap_err());
        assert!(what.contains(&format!("{len} numbers")) && what.contains("smaller batch"), "{what}");
    }
    works(&gpu);
}

#[test]
fn a_buffer_above_the_limit_of_the_device_is_refused() {
    let gpu = gpu();
    let largest = gpu.capabilities().largest_buffer as usize;
    let what = device_error(gpu.full(largest / 4 + 1, 1.0).unwrap_err());
    assert!(what.contains(&format!("{largest} that it gives")), "{what}");
    works(&gpu);
}

/// A kernel allocates its output in the middle of queued work: a refusal is an error at the next download, and no kernel
/// runs on the missing memory.
#[test]
fn a_refused_output_is_an_error_at_the_download() {
    let gpu = gpu();
    for len in [1 << 33, gpu.capabilities().largest_buffer as usize / 4 + 1] {
        let x = gpu.empty(Dtype::F32, len);
        let [y] = gpu.run(&ActivationForward { f: Activation::Tanh, len }, [&x]).unwrap();
        let what = device_error(gpu.download(&y).unwrap_err());
        assert!(what.contains("smaller batch"), "{what}");
        drop((x, y));
        works(&gpu);
    }
}

/// The device's thread panics when memory runs out. The error has the panic's message, and nothing is printed.
#[test]
fn out_of_memory_on_the_devices_thread_is_an_error() {
    let gpu = gpu();
    let needed = gpu.capabilities().largest_buffer * 2;
    let x = Buffer::new(gpu.client().empty(needed as usize), 8, Dtype::F32);
    let [y] = gpu.run(&ActivationForward { f: Activation::Relu, len: 8 }, [&x]).unwrap();
    match gpu.download(&y).unwrap_err() {
        Error::Memory { device, needed: bytes } => assert!(device.starts_with("wgpu:") && bytes == needed),
        other => panic!("{other}"),
    }
    works(&gpu);
}

#[test]
fn another_thread_does_not_get_the_error() {
    let gpu = gpu();
    let x = gpu.empty(Dtype::F32, 1 << 33);
    std::thread::scope(|scope| scope.spawn(|| works(&gpu)).join().unwrap());
    assert!(gpu.synchronize().is_err());
    drop(x);
    assert!(gpu.synchronize().is_ok());
}

#[test]
fn an_unsupported_precision_is_refused() {
    for precision in [Precision::Tf32, Precision::Bf16] {
        let what = device_error(runtime::wgpu::open_software(precision).unwrap_err());
        assert!(what.contains(&precision.to_string()) && what.ends_with("it computes in f32"), "{what}");
    }
    works(&gpu());
}

#[test]
fn devices_report_their_properties() {
    let devices = runtime::wgpu::devices().unwrap();
    let software = devices.iter().find(|info| info.kind == runtime::DeviceKind::Software).unwrap();
    assert_eq!(software.name(), format!("wgpu:{}", software.index));
    assert!(gpu().describe().starts_with(&software.to_string()), "{}", gpu().describe());
    let capabilities = gpu().capabilities();
    assert_eq!((capabilities.precisions, capabilities.matrix_units), (vec![Precision::F32], false));
    if let Some(memory) = gpu().memory() {
        assert!(memory.free > 0 && memory.free <= memory.total && Some(memory.total) == software.memory);
    }
    let what = device_error(runtime::wgpu::open(devices.len(), Precision::F32).unwrap_err());
    assert!(what.contains(&devices[0].to_string()), "{what}");
}
