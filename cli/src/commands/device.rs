//! Choosing where to compute.

use tensor::Cpu;

use crate::failure::{Failure, Result};

/// All threads of the machine.
pub fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// The device of `--device`: this build computes on the CPU.
///
/// # Errors
/// [`Failure::Usage`] for another name.
pub fn open(name: &str, threads: usize) -> Result<Cpu<f32>> {
    match name {
        "auto" | "cpu" => Ok(Cpu::new(threads)?),
        other => Err(Failure::Usage(format!("--device: this build computes on auto or cpu, got {other:?}"))),
    }
}
