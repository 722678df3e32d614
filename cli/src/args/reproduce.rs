//! Arguments of `alexnet reproduce`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use train::experiment::BudgetName;

use super::{PRECISIONS, threads};

#[derive(Debug, ClapArgs)]
pub struct Reproduce {
    /// Experiment, or a TOML file of one; without it, the experiments are listed
    #[arg(value_name = "NAME|FILE.toml")]
    pub name: Option<String>,
    /// Images: a folder with train.pack and val.pack, a training pack (with --val), or a source with a training and a
    /// validation set that `pack` takes, which is packed into --out
    #[arg(long, value_name = "PATH", requires = "name")]
    pub data: Option<PathBuf>,
    /// Validation pack, if --data is a training pack
    #[arg(long, value_name = "PACK", requires = "data")]
    pub val: Option<PathBuf>,
    /// Images to train on first, for experiments with pretrained networks; as --data, but no single pack
    #[arg(long, value_name = "PATH", requires = "name")]
    pub pretraining_data: Option<PathBuf>,
    /// Extent of the experiment
    #[arg(long, value_enum, default_value_t = Extent::Small)]
    pub budget: Extent,
    /// Print the number of runs and steps, and the time by the speed of each network, which is measured; write nothing
    #[arg(long, requires = "name")]
    pub dry_run: bool,
    /// Folder of the runs and results [default: reproduce/NAME]
    #[arg(long, value_name = "DIR", requires = "name")]
    pub out: Option<PathBuf>,
    /// Number of runs at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads)]
    pub jobs: usize,
    #[command(flatten)]
    pub compute: TrainingComputeArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Device, number format and threads of runs.
#[derive(Debug, ClapArgs)]
pub struct TrainingComputeArgs {
    /// Number of CPU threads, for kernels and for loading [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Device: auto (a GPU if there is one), cpu, `cuda[:N]` or `wgpu[:N]`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Number format of activations and matrix products; weights are f32
    #[arg(long, value_name = "FORMAT", default_value = "f32", value_parser = PRECISIONS)]
    pub precision: String,
}

/// Extent of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Extent {
    /// Few epochs, seeds or classes: minutes to hours on a CPU
    Small,
    /// All of it
    Full,
}

impl From<Extent> for BudgetName {
    fn from(extent: Extent) -> Self {
        match extent {
            Extent::Small => Self::Small,
            Extent::Full => Self::Full,
        }
    }
}
