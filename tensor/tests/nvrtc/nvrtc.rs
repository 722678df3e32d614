//! NVRTC: CUDA C++ to machine code for compute capability 9.0a (H100, H200), as CubeCL calls it.

use std::ffi::CString;

use cubecl::cuda::install::{cccl_include_path, include_path};
use cudarc::nvrtc::{result, sys};

use crate::server::Source;

/// The resources that a kernel uses, as the assembler reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// 32-bit registers of a thread.
    pub registers: u32,
    /// Bytes that a thread keeps in memory for lack of registers, or as arrays indexed at run time.
    pub stack: u32,
    /// Bytes written to that memory.
    pub spilled: u32,
}

/// Compiles a kernel.
///
/// # Errors
/// The compiler's messages and the source.
pub fn compile(source: &Source) -> Result<Usage, String> {
    // SAFETY: asks whether a library can be loaded.
    if !unsafe { sys::is_culib_present() } {
        return Err("libnvrtc is not found: see .ci/nvrtc".into());
    }
    let options = [
        "--gpu-architecture=sm_90a".to_string(),
        format!("--include-path={}", include_path().display()),
        format!("--include-path={}", cccl_include_path().display()),
        "-lineinfo".to_string(),
        // Makes the assembler report registers.
        "--ptxas-options=-v".to_string(),
    ];
    let text = CString::new(source.text.as_str()).map_err(|e| e.to_string())?;
    let program = result::create_program(&text, None).map_err(|e| format!("NVRTC: {e:?}"))?;
    // SAFETY: the program was just made and is not used after it is destroyed.
    let (compiled, log) = unsafe {
        let compiled = result::compile_program(program, &options);
        let log = result::get_program_log(program).unwrap_or_default();
        let _ = result::destroy_program(program);
        (compiled, log)
    };
    let log: String = log.iter().take_while(|&&c| c != 0).map(|&c| char::from(c as u8)).collect();
    match compiled {
        Ok(()) => usage(&log).ok_or_else(|| format!("the assembler does not say what it used:\n{log}")),
        Err(e) => Err(format!("{e:?}\n{log}\n{}", source.text)),
    }
}

/// The last entry's numbers: "Used 32 registers", "8 bytes stack frame, 4 bytes spill stores".
fn usage(log: &str) -> Option<Usage> {
    let before = |what: &str| {
        let words = log[..log.rfind(what)?].trim_end().rsplit(|c: char| !c.is_ascii_digit());
        words.into_iter().next()?.parse().ok()
    };
    Some(Usage {
        registers: before(" registers")?,
        stack: before(" bytes stack frame").unwrap_or(0),
        spilled: before(" bytes spill stores").unwrap_or(0),
    })
}
