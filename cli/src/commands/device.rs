//! Opening the device of `--device`.

use std::str::FromStr;

#[cfg(feature = "gpu")]
use tensor::gpu::runtime;
use tensor::{Algorithms, Backend, Cpu, Precision};

use crate::console::{count, note};
use crate::failure::{Failure, Result};

/// Number of threads of the machine.
pub fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// A task that runs on any device: written once, compiled for each backend.
pub trait DeviceTask {
    /// The result.
    type Output;
    /// Runs the task.
    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Self::Output>;
}

/// An open device.
pub struct OpenDevice {
    device: Device,
    /// Name, as `--device` takes it.
    pub name: String,
}

enum Device {
    Cpu(Cpu<f32>),
    #[cfg(feature = "cuda")]
    Cuda(tensor::Gpu<tensor::gpu::cubecl::cuda::CudaRuntime>),
    #[cfg(feature = "wgpu")]
    Wgpu(tensor::Gpu<tensor::gpu::cubecl::wgpu::WgpuRuntime>),
}

impl OpenDevice {
    /// Runs a task on the device.
    pub fn run<T: DeviceTask>(self, task: T) -> Result<T::Output> {
        match self.device {
            Device::Cpu(device) => task.run(device),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => task.run(device),
            #[cfg(feature = "wgpu")]
            Device::Wgpu(device) => task.run(device),
        }
    }
}

/// A value of `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeviceChoice {
    Auto,
    Cpu,
    Cuda(usize),
    Wgpu(usize),
}

impl FromStr for DeviceChoice {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        // Digits only: `parse` also takes a sign.
        let digits = |n: &str| n.bytes().all(|b| b.is_ascii_digit()).then(|| n.parse::<u16>().ok()).flatten();
        match (name, number.map_or(Some(0), digits)) {
            ("auto", _) if number.is_none() => Ok(Self::Auto),
            ("cpu", _) if number.is_none() => Ok(Self::Cpu),
            ("cuda", Some(n)) => Ok(Self::Cuda(n.into())),
            ("wgpu", Some(n)) => Ok(Self::Wgpu(n.into())),
            _ => {
                let what = "expected auto, cpu, cuda[:N] or wgpu[:N], with N from alexnet info";
                Err(Failure::Usage(format!("--device: {what}, got {text:?}")))
            }
        }
    }
}

/// GPU runtimes, and whether this build has them.
pub const RUNTIMES: [(&str, bool); 2] = [("cuda", cfg!(feature = "cuda")), ("wgpu", cfg!(feature = "wgpu"))];

/// Opens the device of `--device` with the number format of `--precision`, but for `int8`, for training. A GPU, and the choice of `auto`, are noted on
/// standard error. `threads` and `algorithms` apply to the CPU.
///
/// # Errors
/// [`Failure::Usage`] for a device or format that this build or the CPU does not have, [`Failure::Failed`] for a device
/// that the machine does not have.
pub fn open(name: &str, precision: &str, threads: usize, algorithms: Algorithms) -> Result<OpenDevice> {
    if parse(precision)? == Precision::Int8 {
        let what = "it is for prediction alone (eval, predict, serve, bench predict and others): take f32 or bf16";
        return Err(Failure::Usage(format!("--precision int8: {what}")));
    }
    open_for_prediction(name, precision, threads, algorithms)
}

/// Opens the device of `--device` with any number format of `--precision`. Otherwise as [`open`].
///
/// # Errors
/// Those of [`open`] but for `int8`.
pub fn open_for_prediction(name: &str, precision: &str, threads: usize, algorithms: Algorithms) -> Result<OpenDevice> {
    match name.parse()? {
        DeviceChoice::Auto => auto(precision, threads, algorithms),
        DeviceChoice::Cpu => cpu(precision, threads, algorithms, ""),
        DeviceChoice::Cuda(number) => cuda(number, precision, &[]),
        DeviceChoice::Wgpu(number) => wgpu(number, precision, &[]),
    }
}

/// The first CUDA device, else the first GPU of wgpu, else the CPU.
fn auto(precision: &str, threads: usize, algorithms: Algorithms) -> Result<OpenDevice> {
    let mut reasons: Vec<String> = Vec::new();
    #[cfg(feature = "cuda")]
    match runtime::cuda::devices() {
        Ok(_) => return cuda(0, precision, &reasons),
        Err(missing) => reasons.push(missing.what),
    }
    #[cfg(feature = "wgpu")]
    match runtime::wgpu::devices() {
        Ok(found) => match found.iter().find(|f| f.kind != runtime::DeviceKind::Software) {
            Some(gpu) => return wgpu(gpu.index, precision, &reasons),
            None => reasons.push("wgpu has no GPU, only software renderers".into()),
        },
        Err(missing) => reasons.push(missing.what),
    }
    let missing: Vec<&str> = RUNTIMES.iter().filter(|(_, built)| !built).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        reasons.push(format!("this build has no {}", missing.join(" and no ")));
    }
    let why = reasons.join("; ");
    let opened = cpu(precision, threads, algorithms, &format!(", and --device auto chose it: {why}"))?;
    note(&format!("device: cpu, {}: {why}", count(threads as u64, "thread")));
    Ok(opened)
}

fn cpu(precision: &str, threads: usize, algorithms: Algorithms, why: &str) -> Result<OpenDevice> {
    let precision = parse(precision)?;
    if precision == Precision::Tf32 {
        return Err(Failure::Usage(format!("--precision tf32: the CPU computes in f32 or bf16{why}")));
    }
    if precision == Precision::Bf16 && Cpu::<f32>::bf16_unit().is_none() {
        note("--precision bf16: this CPU has no bf16 instructions (AMX or AVX512-BF16), so f32 is faster");
    }
    let cpu = Cpu::with_algorithms(threads, algorithms)?.with_precision(precision)?;
    Ok(OpenDevice { device: Device::Cpu(cpu), name: "cpu".into() })
}

#[cfg(feature = "cuda")]
fn cuda(number: usize, precision: &str, why: &[String]) -> Result<OpenDevice> {
    let device = runtime::cuda::open(number, gpu_precision(precision)?)?;
    log_device(&device, why);
    Ok(OpenDevice { device: Device::Cuda(device), name: format!("cuda:{number}") })
}

#[cfg(feature = "wgpu")]
fn wgpu(number: usize, precision: &str, why: &[String]) -> Result<OpenDevice> {
    let device = runtime::wgpu::open(number, gpu_precision(precision)?)?;
    log_device(&device, why);
    Ok(OpenDevice { device: Device::Wgpu(device), name: format!("wgpu:{number}") })
}

#[cfg(feature = "gpu")]
fn log_device(device: &impl tensor::Device, why: &[String]) {
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
    note(&format!("device: {}{why}", device.describe()));
}

#[cfg(feature = "gpu")]
fn gpu_precision(precision: &str) -> Result<Precision> {
    match parse(precision)? {
        Precision::Int8 => Err(Failure::Usage("--precision int8: only --device cpu has it".into())),
        other => Ok(other),
    }
}

fn parse(precision: &str) -> Result<Precision> {
    precision.parse().map_err(|what| Failure::Usage(format!("--precision: {what}")))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize, _: &str, _: &[String]) -> Result<OpenDevice> {
    Err(not_built("cuda", "cuda"))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(_: usize, _: &str, _: &[String]) -> Result<OpenDevice> {
    Err(not_built("wgpu", "vulkan (on a Mac: wgpu)"))
}

#[cfg(not(all(feature = "cuda", feature = "wgpu")))]
fn not_built(name: &str, feature: &str) -> Failure {
    Failure::Usage(format!("--device {name}: this build has no {name}; build with --features {feature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:7", DeviceChoice::Cuda(7)),
            ("wgpu", DeviceChoice::Wgpu(0)),
            ("wgpu:12", DeviceChoice::Wgpu(12)),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
        }
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:+1", "wgpu:99999", "cpu:0", "auto:1", "cuda:1:2"] {
            let message = match text.parse::<DeviceChoice>() {
                Err(Failure::Usage(message)) => message,
                other => panic!("{text}: {other:?}"),
            };
            assert!(message.contains("--device") && message.contains(&format!("{text:?}")), "{message}");
        }
    }
}
