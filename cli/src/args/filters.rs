//! Arguments of `alexnet filters`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::CheckpointArgs;

#[derive(Debug, ClapArgs)]
pub struct Filters {
    /// Weights: a weights file of any framework, a checkpoint, or a run (its best checkpoint, or else its newest)
    #[arg(value_name = "FILE|RUN")]
    pub weights: PathBuf,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Network, for a weights file that does not name its own
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Convolution whose kernels to draw [default: the first]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Order of the kernels within a group
    #[arg(long, value_enum, default_value_t = Sort::Norm)]
    pub sort: Sort,
    /// Range of weights from black to white
    #[arg(long, value_enum, default_value_t = Scale::Each)]
    pub scale: Scale,
    /// PNG file to write
    #[arg(long, value_name = "FILE.png", default_value = "filters.png")]
    pub out: PathBuf,
    /// File for the weights as drawn, [kernels, height, width, channels], for numpy
    #[arg(long, value_name = "FILE.npy")]
    pub data: Option<PathBuf>,
}

/// Order of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By falling norm: kernels that learned nothing come last
    Norm,
    /// That of the layer
    Layer,
}

/// Range of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// Each kernel from its smallest weight to its largest, as in the paper
    Each,
    /// The same for all kernels: strong ones are told from weak ones
    Shared,
}
