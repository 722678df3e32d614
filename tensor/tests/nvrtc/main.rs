//! Compiles the CUDA kernels of every operation for an H100 or H200, on a machine without a GPU.
//!
//! Ordinary launches go to a [`runtime`] whose [`server`] makes CUDA C++ of each new kernel with CubeCL's own compiler
//! and checks block, grid and shared memory against the device's limits; [`nvrtc`] compiles it to machine code. Nothing
//! runs: the conformance suite checks results.
//!
//! `eval "$(.ci/nvrtc)"` installs the compiler; then `cargo test --features nvrtc --test nvrtc`. With
//! `ALEXNET_DUMP_CUDA=FOLDER` each source and a table of registers and spills is written to the folder.

mod coverage;
mod exercise;
mod faults;
mod nvrtc;
mod report;
mod runtime;
mod server;

use std::panic::{AssertUnwindSafe, catch_unwind};

use alexnet_tensor::gpu::{Precision, Tuning};
use alexnet_tensor::{Device, Gpu};
use cubecl::Runtime;
use rayon::prelude::*;

use crate::nvrtc::Usage;
use crate::runtime::{CompileRuntime, NoDevice};
use crate::server::{Launches, Source};

/// The least number of kernels of all operations in all precisions. Raise it when kernels are added.
const KERNELS: usize = 811;
/// 32-bit registers of a multiprocessor, which limit a block.
const REGISTERS: u32 = 65_536;
/// Maximum number of bytes that a thread may keep in memory for lack of registers. The assembler spills a few to run
/// more threads at once, but more of them make a kernel slow.
const SPILLED: u32 = 64;

type Compiled = Gpu<CompileRuntime>;
type Section = (&'static str, fn(&Compiled) -> alexnet_tensor::Result<()>);

macro_rules! sections {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), exercise::$name::<Compiled>)),*] };
}

const SECTIONS: &[Section] = sections![
    activation,
    adaptive_pool,
    batch_norm,
    conv2d,
    crop_and_normalize,
    cross_entropy,
    dropout,
    elementwise,
    linear,
    local2d,
    lrn,
    lrn_pool,
    pool,
    reduce,
    reduce_axes,
    sample,
    strided,
    unary,
    update,
];

/// The reason why a kernel does not fit the device or does not compile.
fn failure(source: &Source, compiled: &Result<Usage, String>) -> Option<String> {
    let what = match compiled {
        Err(what) => what.clone(),
        Ok(usage) if usage.registers * source.units > REGISTERS => {
            format!("{} registers for each of {} threads", usage.registers, source.units)
        }
        Ok(usage) if usage.stack > SPILLED => {
            format!("{} bytes of a thread's values are in memory, {} of them spilled", usage.stack, usage.spilled)
        }
        Ok(_) => return None,
    };
    Some(format!("{}: {what}", source.name))
}

#[test]
fn every_kernel_compiles_for_compute_capability_9() {
    let client = CompileRuntime::client(&NoDevice(0));
    let folder = tempfile::tempdir().expect("a folder");
    let mut failures = Vec::new();
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        let device = Gpu::<CompileRuntime>::new(&NoDevice(0), "sm_90a", precision).expect("all precisions");
        // Compiles all tile sizes that the tuner tries.
        device.tune(Tuning { folder: folder.path().into(), device: precision.to_string(), min_multiplications: 0.0 });
        for (name, section) in SECTIONS {
            // A failure must not hide those after it.
            match catch_unwind(AssertUnwindSafe(|| section(&device))) {
                Ok(Ok(())) => {}
                Ok(Err(e)) => failures.push(format!("{name}, {precision}: {e}")),
                Err(_) => failures.push(format!("{name}, {precision}: a panic, printed above")),
            }
        }
        device.synchronize().expect("all launches are done");
    }
    let Launches { sources, failures: refused } = std::mem::take(&mut *client.info().lock().expect("no panic"));
    failures.extend(refused);
    let compiled: Vec<_> = sources.par_iter().map(nvrtc::compile).collect();
    report::write(&sources, &compiled);
    failures.extend(sources.iter().zip(&compiled).filter_map(|(source, result)| failure(source, result)));
    let (missing, functions) = coverage::missing(&sources);
    assert!(functions > 0, "the sources are not where they were");
    failures.extend(missing.iter().map(|f| format!("{f}: no operation here launches it")));
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(compiled.len() >= KERNELS, "only {} kernels were compiled", compiled.len());
}
