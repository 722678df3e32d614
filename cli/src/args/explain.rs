//! Arguments of the commands that look into a network with one image.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{CheckpointArgs, ComputeArgs, batch};

/// One trained network.
#[derive(Debug, ClapArgs)]
pub struct OneNetworkArgs {
    /// Weights: a weights file, a checkpoint, or a run (its best checkpoint, or else its newest)
    #[arg(long, value_name = "FILE|RUN")]
    pub weights: PathBuf,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Network, for a weights file that does not name its own; if it does, both must agree
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Mean for a network that subtracts one, in place of that of its weights: `imagenet`, R,G,B, a .npy or .binaryproto image, a
    /// pack, or weights that have one
    #[arg(long, value_name = "MEAN")]
    pub mean: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// Images of any size and format; folders, patterns such as 'photos/*.jpg', tars; or - for standard input (at most 64 images)
    #[arg(value_name = "IMAGE|FOLDER|TAR|-", required = true)]
    pub images: Vec<PathBuf>,
    /// Class to explain: a name or a number [default: the most probable one of each image]
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Convolution of Grad-CAM [default: the last]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Side of the square that hides a part of the image, in pixels [default: a fifth of the crop]
    #[arg(long, value_name = "PIXELS", value_parser = batch)]
    pub square: Option<usize>,
    /// Number of noisy copies of the image for SmoothGrad
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = batch)]
    pub samples: usize,
    /// PNG file to write
    #[arg(long, value_name = "FILE.png", default_value = "explain.png")]
    pub out: PathBuf,
    /// File for the maps as numbers: .h5 or .safetensors
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub network: OneNetworkArgs,
}

#[derive(Debug, ClapArgs)]
pub struct Maps {
    /// Image of any size and format, or - for standard input
    #[arg(value_name = "IMAGE|-")]
    pub image: PathBuf,
    /// Layers to draw, separated by commas: of a layer with weights the values after its activation function
    /// [default: all layers with weights, and poolings]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub layers: Vec<String>,
    /// Maps of a layer to draw: those with the largest mean; 0 for all
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub maps: usize,
    /// PNG file to write
    #[arg(long, value_name = "FILE.png", default_value = "maps.png")]
    pub out: PathBuf,
    /// File for all maps as numbers, by the names of the layers: .h5 or .safetensors
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub network: OneNetworkArgs,
}
