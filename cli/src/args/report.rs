//! Arguments of `alexnet report`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{CheckpointArgs, ComputeArgs};

#[derive(Debug, ClapArgs)]
pub struct Report {
    /// Folders of runs
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// HTML file to write
    #[arg(long, value_name = "FILE.html", default_value = "report.html")]
    pub out: PathBuf,
    /// Pack to evaluate the runs on; repeatable, one for each run [default: the validation pack of each run]
    #[arg(long, value_name = "PACK")]
    pub data: Vec<PathBuf>,
    /// Folder for the same plots as PNG and CSV; of several runs, those of each in a folder of its own
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    #[command(flatten)]
    pub compute: ComputeArgs,
}
