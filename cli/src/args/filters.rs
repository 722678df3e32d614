//! Arguments of `alexnet filters`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::{CheckpointArgs, ComputeArgs, batch};

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
    /// Draw the patches of these images to which each kernel responds most, and below each the gradient of the response,
    /// in place of the weights: a pack, class folders, a tar or a folder of images
    #[arg(long, value_name = "PACK|SOURCE")]
    pub images: Option<PathBuf>,
    /// Kernels to draw patches for: those with the strongest responses
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = batch, requires = "images")]
    pub kernels: usize,
    /// Patches of each kernel
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = batch, requires = "images")]
    pub patches: usize,
    /// Mean for a network that subtracts one, in place of that of its weights, as `eval --mean` takes it
    #[arg(long, value_name = "MEAN", requires = "images")]
    pub mean: Option<String>,
    /// Convolution whose kernels to draw [default: the first; with --images the last]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Order of the kernels within a group, of weights
    #[arg(long, value_enum, default_value_t = Sort::Norm, conflicts_with = "images")]
    pub sort: Sort,
    /// Colours of weights: the range from black to white
    #[arg(long, value_enum, default_value_t = Scale::Each, conflicts_with = "images")]
    pub scale: Scale,
    /// PNG file to write
    #[arg(long, value_name = "FILE.png", default_value = "filters.png")]
    pub out: PathBuf,
    /// File for the numbers: the weights as drawn, [kernels, height, width, channels], as .npy; with --images a table of
    /// the patches as .csv
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub compute: ComputeArgs,
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
