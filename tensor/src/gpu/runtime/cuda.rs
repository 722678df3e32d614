//! NVIDIA GPUs. NVRTC compiles kernels when they are first used, with headers of the CUDA toolkit.

use std::path::Path;

use cubecl::cuda::{CudaDevice, CudaRuntime, install};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute};

use super::{DeviceInfo, DeviceKind, RuntimeKind, Unavailable, connect, find_device};
use crate::gpu::{Gpu, Identity, Precision, fault};
use crate::{Memory, Result};

/// Opens device `index` of those that the driver shows; `CUDA_VISIBLE_DEVICES` selects them.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) without driver, NVRTC, headers or such a device, or if the device does not
/// support `precision`.
pub fn open(index: usize, precision: Precision) -> Result<Gpu<CudaRuntime>> {
    let info = find_device(RuntimeKind::Cuda, index, devices())?;
    let is_host = info.kind.is_host();
    let identity = Identity {
        name: info.to_string(),
        // CubeCL offers `bf16` fragments on older devices too, where the compiler refuses them.
        unsupported: if is_before_ampere(index) { vec![Precision::Tf32, Precision::Bf16] } else { Vec::new() },
        memory: Some(Box::new(move || memory(index, is_host))),
    };
    connect(&info, &CudaDevice::new(index), identity, precision)
}

/// The devices, in the driver's order.
///
/// # Errors
/// [`Unavailable`] without driver, device, NVRTC or headers.
pub fn devices() -> std::result::Result<Vec<DeviceInfo>, Unavailable> {
    fault::install_panic_hook();
    // The bindings panic where an older driver lacks a function.
    fault::catch_panic(enumerate).unwrap_or_else(|| {
        Err(Unavailable::new("the CUDA driver lacks what is needed", "install a newer driver from NVIDIA"))
    })
}

fn enumerate() -> std::result::Result<Vec<DeviceInfo>, Unavailable> {
    // SAFETY: loads the driver's library; NVIDIA vouches for its initialisers.
    if !unsafe { sys::is_culib_present() } {
        return Err(Unavailable::new("no CUDA driver library found", "install NVIDIA's driver (it holds libcuda)"));
    }
    let remedy = "see what nvidia-smi and CUDA_VISIBLE_DEVICES say";
    let none = |e: DriverError| Unavailable::new(format!("the CUDA driver has no device ({})", message(e)), remedy);
    result::init().map_err(none)?;
    let count = result::device::get_count().map_err(none)?;
    if count == 0 {
        return Err(Unavailable::new("the CUDA driver has no device", remedy));
    }
    check_compiler()?;
    (0..count).map(|index| describe(index).map_err(none)).collect()
}

fn describe(index: i32) -> std::result::Result<DeviceInfo, DriverError> {
    use CUdevice_attribute::{CU_DEVICE_ATTRIBUTE_INTEGRATED, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT};
    let device = result::device::get(index)?;
    let (major, minor) = capability(device)?;
    let multiprocessors = attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    let integrated = attribute(device, CU_DEVICE_ATTRIBUTE_INTEGRATED)? == 1;
    // SAFETY: the driver gave `device`.
    let memory = unsafe { result::device::total_mem(device)? };
    Ok(DeviceInfo {
        runtime: RuntimeKind::Cuda,
        index: index as usize,
        model: result::device::get_name(device)?,
        kind: if integrated { DeviceKind::Integrated } else { DeviceKind::Discrete },
        driver: format!("CUDA {}, compute capability {major}.{minor}, {multiprocessors} multiprocessors", version()),
        memory: Some(memory as u64),
    })
}

/// Fails unless kernels can be compiled.
fn check_compiler() -> std::result::Result<(), Unavailable> {
    // SAFETY: as for the driver.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        let remedy = "install the CUDA toolkit, or name its lib64 folder in LD_LIBRARY_PATH";
        return Err(Unavailable::new("no NVRTC found, which compiles kernels", remedy));
    }
    let folder = install::cuda_path().map(|root| root.join("include"));
    check_headers(folder.as_deref())
}

/// Fails unless `folder` holds the headers that kernels include.
fn check_headers(folder: Option<&Path>) -> std::result::Result<(), Unavailable> {
    let remedy = "install the CUDA toolkit, or name its folder in CUDA_PATH";
    let Some(folder) = folder else {
        return Err(Unavailable::new("no CUDA headers found", remedy));
    };
    let has_headers = ["cuda_runtime.h", "cuda_bf16.h"].iter().all(|name| folder.join(name).is_file());
    // CubeCL passes the path to NVRTC as text.
    if has_headers && folder.to_str().is_some() {
        return Ok(());
    }
    Err(Unavailable::new(format!("no CUDA headers found in {}", folder.display()), remedy))
}

/// The newest CUDA version that the driver supports.
fn version() -> String {
    let mut version = 0;
    // SAFETY: writes one number, after the library was found.
    match unsafe { sys::cuDriverGetVersion(&mut version) }.result() {
        Ok(()) => format!("{}.{}", version / 1000, version % 1000 / 10),
        Err(_) => "of unknown version".into(),
    }
}

fn message(error: DriverError) -> String {
    match error.error_string() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => format!("{:?}", error.0),
    }
}

fn attribute(device: sys::CUdevice, attribute: CUdevice_attribute) -> std::result::Result<i32, DriverError> {
    // SAFETY: the driver gave `device`.
    unsafe { result::device::get_attribute(device, attribute) }
}

fn capability(device: sys::CUdevice) -> std::result::Result<(i32, i32), DriverError> {
    use CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
    };
    let major = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    Ok((major, attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?))
}

/// Whether the device is older than Ampere, the first with `bf16` and `tf32`.
fn is_before_ampere(index: usize) -> bool {
    let major = |device| capability(device).map(|(major, _)| major);
    result::device::get(index as i32).and_then(major).is_ok_and(|major| major < 8)
}

/// The device's memory as the driver reports it, with the use of all programs.
fn memory(index: usize, is_host: bool) -> Option<Memory> {
    let device = result::device::get(index as i32).ok()?;
    let previous = result::ctx::get_current().ok()?;
    // SAFETY: the driver gave `device`. CubeCL holds its primary context for as long as the process runs; here it is
    // retained and released once.
    let context = unsafe { result::primary_ctx::retain(device) }.ok()?;
    // SAFETY: `context` is alive until its release below; the thread gets back the context it had, or none.
    let memory_info = unsafe {
        let memory_info = result::ctx::set_current(context).and_then(|()| result::mem_get_info());
        let _ = result::ctx::set_current(previous.unwrap_or(std::ptr::null_mut()));
        let _ = result::primary_ctx::release(device);
        memory_info
    };
    let (free, total) = memory_info.ok()?;
    Some(Memory { total: total as u64, free: free as u64, is_host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_headers_are_found_before_a_kernel_needs_them() {
        assert_eq!(check_headers(None).unwrap_err().what, "no CUDA headers found");
        let folder = tempfile::tempdir().unwrap();
        let missing = check_headers(Some(folder.path())).unwrap_err();
        assert!(missing.what.contains(folder.path().to_str().unwrap()) && missing.remedy.contains("CUDA_PATH"));
        for name in ["cuda_runtime.h", "cuda_bf16.h"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(check_headers(Some(folder.path())), Ok(()));
    }

    /// Holds with and without CUDA.
    #[test]
    fn a_missing_device_is_an_error_and_not_a_panic() {
        let message = open(4096, Precision::F32).unwrap_err().to_string();
        assert!(message.starts_with("cuda:4096: "), "{message}");
        match devices() {
            Ok(devices) => assert!(!devices.is_empty() && message.contains(&devices[0].to_string()), "{message}"),
            Err(unavailable) => assert!(message.contains(&unavailable.to_string()), "{message}"),
        }
    }
}
