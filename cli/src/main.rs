//! The `alexnet` command: parse, run, exit code.

mod args;
mod commands;
mod console;
mod demo;
mod failure;
mod progress;
mod signals;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(all(feature = "wgpu", target_os = "linux"))]
    quiet_device_selection();
    data::install_sigbus_handler();
    let args = match args::parse() {
        Ok(args) => args,
        Err(output) => return failure::help_or_usage(&output),
    };
    if args.quiet {
        console::be_quiet();
    }
    match commands::run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Silences Mesa's device-select layer, which prints an error in each process without a display session.
#[cfg(all(feature = "wgpu", target_os = "linux"))]
fn quiet_device_selection() {
    let unset = |name: &str| std::env::var_os(name).is_none();
    if unset("XDG_RUNTIME_DIR") && unset("MESA_VK_DEVICE_SELECT") {
        // SAFETY: there is no other thread yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
