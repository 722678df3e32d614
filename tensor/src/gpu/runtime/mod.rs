//! Finds and opens GPUs, with an error instead of a panic where there is none.

#[cfg(feature = "cuda")]
pub mod cuda;
mod settings;
#[cfg(feature = "wgpu")]
pub mod wgpu;

use std::fmt;

use cubecl::device::{Device as _, DeviceId};
use cubecl::prelude::Runtime;

use super::{Gpu, Identity, Precision, Tuning, fault};
use crate::{Device, Error, Memory, Result};
pub(crate) use settings::cache_folder;

/// A runtime that gives access to GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeKind {
    /// CUDA, for NVIDIA's GPUs.
    #[cfg(feature = "cuda")]
    Cuda,
    /// Vulkan, or Metal on a Mac.
    #[cfg(feature = "wgpu")]
    Wgpu,
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            #[cfg(feature = "cuda")]
            Self::Cuda => "cuda",
            #[cfg(feature = "wgpu")]
            Self::Wgpu => "wgpu",
        })
    }
}

/// The kind of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the machine's memory.
    Integrated,
    /// A GPU of a virtual machine.
    Virtual,
    /// None of these.
    Other,
    /// A software renderer, which computes on the CPU: for tests.
    Software,
}

impl DeviceKind {
    /// Whether the device shares the machine's memory.
    fn is_host(self) -> bool {
        matches!(self, Self::Integrated | Self::Software)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        })
    }
}

/// A device that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The runtime that opens it.
    pub runtime: RuntimeKind,
    /// Its index in the runtime, for `open`.
    pub index: usize,
    /// The model's name.
    pub model: String,
    /// Its kind.
    pub kind: DeviceKind,
    /// The driver's version, and other properties that distinguish devices.
    pub driver: String,
    /// Its memory in bytes, where the driver reports it.
    pub memory: Option<u64>,
}

impl DeviceInfo {
    /// Runtime and index: `cuda:0`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.runtime, self.index)
    }

    /// Opens the device and returns its capabilities.
    ///
    /// # Errors
    /// [`Error::Device`] if it cannot be opened.
    pub fn capabilities(&self) -> Result<Capabilities> {
        match self.runtime {
            #[cfg(feature = "cuda")]
            RuntimeKind::Cuda => Ok(cuda::open(self.index, Precision::F32)?.capabilities()),
            #[cfg(feature = "wgpu")]
            RuntimeKind::Wgpu => Ok(wgpu::open(self.index, Precision::F32)?.capabilities()),
        }
    }
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.model)
    }
}

/// The capabilities of an open device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The precisions that it supports.
    pub precisions: Vec<Precision>,
    /// Whether it has matrix units (tensor cores).
    pub matrix_units: bool,
    /// Bytes of the largest buffer.
    pub largest_buffer: u64,
    /// Its memory, where the driver reports how much is free.
    pub memory: Option<Memory>,
}

/// The reason why a runtime has no device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unavailable {
    /// The missing part.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

impl Unavailable {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    fn error(self, device: &str) -> Error {
        Error::Device { device: device.to_string(), what: self.to_string() }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

/// The devices of one runtime.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RuntimeDevices {
    /// The runtime.
    pub runtime: RuntimeKind,
    /// Its devices, at least one, or the reason why there are none.
    pub devices: std::result::Result<Vec<DeviceInfo>, Unavailable>,
}

/// The GPUs that this build can use, by runtime.
pub fn devices() -> Vec<RuntimeDevices> {
    vec![
        #[cfg(feature = "cuda")]
        RuntimeDevices { runtime: RuntimeKind::Cuda, devices: cuda::devices() },
        #[cfg(feature = "wgpu")]
        RuntimeDevices { runtime: RuntimeKind::Wgpu, devices: wgpu::devices() },
    ]
}

impl<R: Runtime> Gpu<R> {
    /// The capabilities of the device.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            precisions: self.shared.precisions.clone(),
            matrix_units: !self.client().features().matmul.cmma.is_empty(),
            largest_buffer: self.client().properties().memory.max_page_size,
            memory: self.memory(),
        }
    }
}

/// The device with this index, or an error that lists the devices there are.
fn find_device(
    runtime: RuntimeKind,
    index: usize,
    devices: std::result::Result<Vec<DeviceInfo>, Unavailable>,
) -> Result<DeviceInfo> {
    let device = format!("{runtime}:{index}");
    let devices = devices.map_err(|unavailable| unavailable.error(&device))?;
    let list = devices.iter().map(DeviceInfo::to_string).collect::<Vec<_>>().join(", ");
    let verb = if devices.len() > 1 { "are" } else { "is" };
    let what = format!("there is no such device; there {verb} {list}");
    devices.into_iter().find(|info| info.index == index).ok_or(Error::Device { device, what })
}

/// Opens CubeCL's client of a device, and tunes it unless it is software. CubeCL panics where the driver fails.
fn connect<R: Runtime>(
    info: &DeviceInfo,
    device: &R::Device,
    identity: Identity,
    precision: Precision,
) -> Result<Gpu<R>> {
    settings::apply_defaults();
    fault::install_panic_hook();
    let Some(client) = fault::catch_panic(|| R::client(device)) else {
        let DeviceId { type_id, index_id } = device.to_id();
        let panic = fault::take_for_device(type_id, index_id);
        let why = panic.map_or("unknown".into(), |message| fault::summarize(&message));
        let what = format!("it cannot be opened: {why}; another process may hold it, or its driver be too old");
        return Err(Error::Device { device: identity.name, what });
    };
    let gpu = Gpu::with_client(device, client, identity, precision)?;
    if info.kind != DeviceKind::Software {
        gpu.tune(Tuning::of_user(format!("{}, {}", info.model, info.driver)));
    }
    Ok(gpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "cuda")]
    const RUNTIME: RuntimeKind = RuntimeKind::Cuda;
    #[cfg(not(feature = "cuda"))]
    const RUNTIME: RuntimeKind = RuntimeKind::Wgpu;

    fn info(index: usize) -> DeviceInfo {
        let model = "Model".to_string();
        let driver = String::new();
        DeviceInfo { runtime: RUNTIME, index, model, kind: DeviceKind::Discrete, driver, memory: None }
    }

    #[test]
    fn an_index_out_of_range_lists_the_devices() {
        let two = || Ok(vec![info(0), info(1)]);
        assert_eq!(find_device(RUNTIME, 1, two()).unwrap(), info(1));
        let message = find_device(RUNTIME, 7, two()).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("{RUNTIME}:7: there is no such device; there are {RUNTIME}:0 Model, {RUNTIME}:1 Model")
        );
        let message =
            find_device(RUNTIME, 0, Err(Unavailable::new("no driver", "install it"))).unwrap_err().to_string();
        assert_eq!(message, format!("{RUNTIME}:0: no driver: install it"));
    }
}
