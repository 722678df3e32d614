//! Arguments about the folders of runs.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use train::load::CheckpointChoice;

/// The checkpoint of a run to take.
#[derive(Debug, ClapArgs)]
pub struct CheckpointArgs {
    /// Take the checkpoint of a run that validated best; this is the default if there is one
    #[arg(long, conflicts_with = "newest")]
    pub best: bool,
    /// Take the newest checkpoint of a run
    #[arg(long)]
    pub newest: bool,
    /// Take the weights after the step itself where a run also has their moving average (optim.ema_decay)
    #[arg(long)]
    pub raw: bool,
}

impl CheckpointArgs {
    /// The choice that these flags make.
    pub fn choice(&self) -> CheckpointChoice {
        if self.best {
            CheckpointChoice::Best
        } else if self.newest {
            CheckpointChoice::Newest
        } else {
            CheckpointChoice::default()
        }
    }
}

/// Options of `train` for other work than a new run.
#[derive(Debug, ClapArgs)]
pub struct TrainModes {
    /// Resume with another training pack of as many images and the same classes, such as the same images packed anew, or
    /// with another validation pack
    #[arg(long, requires = "resume")]
    pub force: bool,
    /// Take the largest batch that fits the memory and the pack
    #[arg(long, conflicts_with_all = ["batch", "resume"])]
    pub auto_batch: bool,
    /// Print the number of steps, the time by measured speed, the memory and the disk space of the run, and write nothing
    #[arg(long, conflicts_with_all = ["resume", "find_lr"])]
    pub dry_run: bool,
    /// Find a learning rate: train for 100 steps with rising rates, print a suggestion and plot the loss. No run is written
    #[arg(long, conflicts_with = "resume")]
    pub find_lr: bool,
    /// PNG file of --find-lr
    #[arg(long, value_name = "FILE", default_value = "lr.png")]
    pub lr_plot: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Runs {
    /// Folder of runs, also in folders below it
    #[arg(value_name = "DIR", default_value = "runs")]
    pub dir: PathBuf,
    /// Column to sort by: run, network, data, best, loss, speed, steps, state, or a setting
    #[arg(long, value_name = "KEY", default_value = "run")]
    pub sort: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Compare {
    /// Folders of runs
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// PNG file of the curves
    #[arg(long, value_name = "FILE", default_value = "compare.png")]
    pub out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Sweep {
    /// TOML file of the sweep: its settings, and those that vary
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,
    /// Folder of the runs [default: sweeps/FILE]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Number of runs at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::threads)]
    pub jobs: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
