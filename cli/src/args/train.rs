//! The options of `alexnet train`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{PRECISIONS, TrainModes, batch, examples, threads, whole_number};

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::TRAIN, after_long_help = settings_help())]
pub struct Train {
    /// Pack to train on
    #[arg(long, value_name = "PACK")]
    pub data: Option<PathBuf>,
    /// Pack to validate on after each epoch
    #[arg(long, value_name = "PACK")]
    pub val: Option<PathBuf>,
    /// Network: a preset or a TOML file [default: paper]
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Folder of the run [default: runs/MODEL-N]
    #[arg(long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Number of epochs; replaces the steps of --config or of a resumed run. 0 evaluates the starting weights on --val
    #[arg(long, value_name = "N", conflicts_with = "steps", value_parser = epochs)]
    pub epochs: Option<u64>,
    /// Number of steps, in place of epochs
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub steps: Option<u64>,
    /// Batch size [default: that of the network file, or else 128]
    #[arg(long, value_name = "N", value_parser = batch)]
    pub batch: Option<usize>,
    /// Initial learning rate [default: that of the network file, or else 0.01]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Random seed [default: 1]
    #[arg(long, value_name = "N", value_parser = whole_number)]
    pub seed: Option<u64>,
    /// Number of CPU threads, for kernels and for loading [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Device: auto (a GPU if there is one), cpu, `cuda[:N]` or `wgpu[:N]` [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Number format of activations and matrix products; weights are f32 [default: f32]
    #[arg(long, value_name = "FORMAT", value_parser = PRECISIONS)]
    pub precision: Option<String>,
    /// Weights to start from: a weights file, a checkpoint, or a run (its best checkpoint). The last layer begins anew if the
    /// number of classes differs
    #[arg(long, value_name = "FILE|RUN", visible_alias = "pretrained")]
    pub weights: Option<PathBuf>,
    /// Layers to freeze: names, globs (`conv*`) and ranges (conv1..conv5), separated by commas; repeatable
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    pub freeze: Vec<String>,
    /// Multiplier of the learning rate of layers, e.g. `conv*=0.1`; repeatable
    #[arg(long, value_name = "LAYERS=FACTOR", value_delimiter = ',')]
    pub lr_multiplier: Vec<String>,
    /// Factor of the learning rate from each layer to the one before it [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub layer_decay: Option<f64>,
    /// Mean that the network subtracts in place of the pack's: `imagenet`, R,G,B, a .npy or .binaryproto image, a pack, or
    /// weights that have one
    #[arg(long, value_name = "MEAN")]
    pub mean: Option<String>,
    /// Read settings from a TOML file (same format as run.toml)
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Set a setting, e.g. optim.lr=0.001 (--help lists all); repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Resume the run in --out from its newest checkpoint
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Show lines in place of the dashboard, which is shown on terminals only
    #[arg(long)]
    pub plain: bool,
    /// Run a shell command after each epoch, at the end and at a failure, with JSON on its standard input
    #[arg(long, value_name = "CMD")]
    pub on_event: Option<String>,
    #[command(flatten)]
    pub modes: TrainModes,
}

fn epochs(text: &str) -> Result<u64, String> {
    let range = 0..=1_000_000_000;
    whole_number(text)
        .ok()
        .filter(|n| range.contains(n))
        .ok_or(format!("expected a whole number in 0..={}", range.end()))
}

fn at_least_one(text: &str) -> Result<u64, String> {
    whole_number(text)?.checked_sub(1).map(|n| n + 1).ok_or("expected a whole number of at least 1".into())
}

fn settings_help() -> String {
    let settings = train::config::docs::help();
    let train = examples::TRAIN;
    format!(
        "{train}\n\nSettings for --set and --config (in run.toml as [section] name = value):\n{settings}{CHECKPOINTS}"
    )
}

/// Shown below the list of settings.
const CHECKPOINTS: &str = "
Checkpoints are saved at the end of a run, when it is stopped, after each epoch with the best
validation error so far, and after any other epoch if at least 20 times the duration of the last
save has passed since then. run.checkpoint_steps, run.checkpoint_epochs and run.checkpoint_minutes
add checkpoints that are always saved; SIGUSR1 asks for one.
run.keep_checkpoints is a number of saved checkpoints, not of epochs.
";
