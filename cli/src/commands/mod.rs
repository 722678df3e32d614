//! The commands: each turns its arguments into calls of the libraries and prints what they return.

mod bench;
mod bench_data;
mod completions;
mod configure;
mod convert;
mod data_set;
mod dataset;
mod demo;
mod device;
mod devices;
mod embed;
mod eval;
mod explain;
mod feature_source;
mod features;
mod filters;
mod image_files;
mod info;
mod maps;
mod neighbours;
mod pack;
mod predict;
mod prepared_run;
mod report;
mod reproduce;
mod runs;
mod selected;
mod serve;
mod show;
mod summary;
mod sweep;
mod train;
mod train_modes;
mod trained;
mod trial_runs;

use crate::args::Command;
use crate::failure::Result;

/// Runs one command to its end.
pub fn run(command: Command) -> Result<()> {
    #[cfg(unix)]
    crate::signals::survive_file_size_limit()?;
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Dataset(args) => dataset::run(&args),
        Command::Filters(args) => filters::run(&args),
        Command::Features(args) => features::run(&args),
        Command::Neighbours(args) => neighbours::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Maps(args) => maps::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Runs(args) => runs::run(&args),
        Command::Compare(args) => runs::compare(&args),
        Command::Report(args) => report::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Serve(args) => serve::run(*args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}
