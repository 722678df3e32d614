//! Finding and opening devices without a panic where there is none.

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

/// A way to GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// NVIDIA's own.
    #[cfg(feature = "cuda")]
    Cuda,
    /// Vulkan, or Metal on a Mac.
    #[cfg(feature = "wgpu")]
    Wgpu,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            #[cfg(feature = "cuda")]
            Self::Cuda => "cuda",
            #[cfg(feature = "wgpu")]
            Self::Wgpu => "wgpu",
        })
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the machine's memory.
    Integrated,
    /// A GPU of a virtual machine.
    Virtual,
    /// None of these.
    Other,
    /// The CPU, computing as if it were a GPU: for tests.
    Software,
}

impl Kind {
    /// Whether its memory is the machine's own.
    fn is_host(self) -> bool {
        matches!(self, Self::Integrated | Self::Software)
    }
}

impl fmt::Display for Kind {
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
pub struct Found {
    /// The way to it.
    pub api: Api,
    /// What `open` takes.
    pub number: usize,
    /// What its maker calls it.
    pub model: String,
    /// What it is.
    pub kind: Kind,
    /// The driver and what else tells devices apart.
    pub driver: String,
    /// Its memory in bytes, where the driver tells.
    pub memory: Option<u64>,
}

impl Found {
    /// The way and the number: `cuda:0`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.api, self.number)
    }

    /// What it can do, found out by opening it.
    ///
    /// # Errors
    /// [`Error::Device`] if it cannot be opened.
    pub fn support(&self) -> Result<Support> {
        match self.api {
            #[cfg(feature = "cuda")]
            Api::Cuda => Ok(cuda::open(self.number, Precision::F32)?.support()),
            #[cfg(feature = "wgpu")]
            Api::Wgpu => Ok(wgpu::open(self.number, Precision::F32)?.support()),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.model)
    }
}

/// What a device can do, which only opening it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    /// How it can compute.
    pub precisions: Vec<Precision>,
    /// Whether it has units that multiply small matrices.
    pub matrix_units: bool,
    /// Bytes of the largest buffer.
    pub largest_buffer: u64,
    /// Its memory, where the driver tells what is free.
    pub memory: Option<Memory>,
}

/// Why there is no device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Missing {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    fn error(self, device: &str) -> Error {
        Error::Device { device: device.to_string(), what: self.to_string() }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

/// The devices that one way leads to.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The way to them.
    pub api: Api,
    /// Its devices, never none, or why there are none.
    pub found: std::result::Result<Vec<Found>, Missing>,
}

/// The devices that this build can compute on, beside the CPU.
pub fn devices() -> Vec<Survey> {
    vec![
        #[cfg(feature = "cuda")]
        Survey { api: Api::Cuda, found: cuda::devices() },
        #[cfg(feature = "wgpu")]
        Survey { api: Api::Wgpu, found: wgpu::devices() },
    ]
}

impl<R: Runtime> Gpu<R> {
    /// What the device can do.
    pub fn support(&self) -> Support {
        Support {
            precisions: self.shared.precisions.clone(),
            matrix_units: !self.client().features().matmul.cmma.is_empty(),
            largest_buffer: self.client().properties().memory.max_page_size,
            memory: self.memory(),
        }
    }
}

/// The device of this number, or an error that lists those that there are.
fn pick(api: Api, number: usize, found: std::result::Result<Vec<Found>, Missing>) -> Result<Found> {
    let device = format!("{api}:{number}");
    let found = found.map_err(|missing| missing.error(&device))?;
    let list = found.iter().map(Found::to_string).collect::<Vec<_>>().join(", ");
    found.into_iter().find(|f| f.number == number).ok_or_else(|| Error::Device {
        device,
        what: format!("there is no such device; there {} {list}", if list.contains(',') { "are" } else { "is" }),
    })
}

/// Makes CubeCL's client of a device that is there, which panics where the driver does not do what it says.
fn connect<R: Runtime>(found: &Found, device: &R::Device, identity: Identity, precision: Precision) -> Result<Gpu<R>> {
    settings::settle();
    fault::watch();
    match fault::quietly(|| R::client(device)) {
        Some(client) => {
            let gpu = Gpu::identified(device, client, identity, precision)?;
            // What computes in software is there for tests.
            if found.kind != Kind::Software {
                gpu.tune(Tuning::of_user(format!("{}, {}", found.model, found.driver)));
            }
            Ok(gpu)
        }
        None => {
            let DeviceId { type_id, index_id } = device.to_id();
            let why = fault::take_of_device(type_id, index_id).map_or("unknown".into(), |text| fault::in_short(&text));
            let what = format!("it cannot be opened: {why}; another process may hold it, or its driver be too old");
            Err(Error::Device { device: identity.name, what })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "cuda")]
    const API: Api = Api::Cuda;
    #[cfg(not(feature = "cuda"))]
    const API: Api = Api::Wgpu;

    fn found(number: usize) -> Found {
        let (model, driver) = ("Model".to_string(), String::new());
        Found { api: API, number, model, kind: Kind::Discrete, driver, memory: None }
    }

    #[test]
    fn a_number_out_of_range_lists_what_is_there() {
        let two = || Ok(vec![found(0), found(1)]);
        assert_eq!(pick(API, 1, two()).unwrap(), found(1));
        let message = pick(API, 7, two()).unwrap_err().to_string();
        assert_eq!(message, format!("{API}:7: there is no such device; there are {API}:0 Model, {API}:1 Model"));
        let message = pick(API, 0, Err(Missing::new("no driver", "install it"))).unwrap_err().to_string();
        assert_eq!(message, format!("{API}:0: no driver: install it"));
    }
}
