//! The `alexnet` command: parse, run, exit code.

mod args;
mod commands;
mod console;
mod demo;
mod failure;
mod signals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    data::exit_on_cut_file();
    let args = args::Args::parse();
    match commands::run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
