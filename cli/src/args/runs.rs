//! Arguments about the folders of runs.

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
