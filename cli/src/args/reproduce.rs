//! Arguments of `alexnet reproduce`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use train::experiment::BudgetName;

use super::{TrainingComputeArgs, threads};

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
    /// Size of the experiment
    #[arg(long, value_enum, default_value_t = Budget::Small)]
    pub budget: Budget,
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

/// Size of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Budget {
    /// Few epochs, seeds or classes: minutes to hours on a CPU
    Small,
    /// All of it
    Full,
}

impl From<Budget> for BudgetName {
    fn from(budget: Budget) -> Self {
        match budget {
            Budget::Small => Self::Small,
            Budget::Full => Self::Full,
        }
    }
}
