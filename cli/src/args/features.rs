//! Arguments of the commands that compare images by features.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{CheckpointArgs, ComputeArgs, From, batch};

/// The computation of features by a trained network.
#[derive(Debug, ClapArgs)]
pub struct FeatureArgs {
    /// Layer whose activations are the features: of a layer with weights those after its ReLU [default: the last hidden
    /// layer, such as fc7]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Network, for a weights file that does not name its own; if it does, both must agree
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Mean for a network that subtracts one, in place of that of its weights: `imagenet`, R,G,B, a .npy or .binaryproto
    /// image, a pack, or weights that have one
    #[arg(long, value_name = "MEAN")]
    pub mean: Option<String>,
    /// Source format of images that are not packed [default: auto-detect]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub from: Option<From>,
    /// Labels of a source that has none, as `pack --labels` takes them
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Number of images in a batch
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch)]
    pub batch: usize,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

#[derive(Debug, ClapArgs)]
pub struct Features {
    /// Weights: a weights file, a checkpoint, or a run (its best checkpoint, or else its newest)
    #[arg(long, value_name = "FILE|RUN")]
    pub weights: PathBuf,
    /// Images: a pack, what `pack` takes (class folders, a tar), a folder of images without labels, or a .txt file with
    /// an image path a line
    #[arg(long, value_name = "PACK|SOURCE")]
    pub data: PathBuf,
    /// File to write: .h5 with names and labels, or .npy
    #[arg(long, value_name = "FILE", default_value = "features.h5")]
    pub out: PathBuf,
    #[command(flatten)]
    pub features: FeatureArgs,
}

#[derive(Debug, ClapArgs)]
pub struct Neighbours {
    /// Images whose neighbours are searched for: a pack, a folder or what `pack` takes, a .txt list, image files, or a file
    /// of `features`
    #[arg(long, value_name = "PACK|FILE", required = true, num_args = 1..)]
    pub queries: Vec<PathBuf>,
    /// Images that are searched, such as the training images: a pack, what `pack` takes, a folder of images or a .txt list
    #[arg(long, value_name = "PACK|SOURCE", required_unless_present = "vectors")]
    pub data: Option<PathBuf>,
    /// File of `features` of the images that are searched, in place of computing them; --data then says where those images
    /// are now
    #[arg(long = "features", value_name = "FILE.h5")]
    pub vectors: Option<PathBuf>,
    /// Weights: a weights file, a checkpoint, or a run [default: those that a file of features names]
    #[arg(long, value_name = "FILE|RUN")]
    pub weights: Option<PathBuf>,
    /// Number of images whose neighbours are searched for, spread evenly over --queries
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = batch)]
    pub images: usize,
    /// Number of neighbours of an image
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: u32,
    /// Learn short binary codes of 1 to 256 bits from the file of --features, and print the share of the neighbours that they
    /// find
    #[arg(long, value_name = "BITS")]
    pub codes: Option<usize>,
    /// Random seed of the codes
    #[arg(long, value_name = "N", default_value_t = 1, requires = "codes")]
    pub seed: u64,
    /// PNG file to write: each image with its neighbours, as in the paper's figure 4
    #[arg(long, value_name = "FILE.png", default_value = "neighbours.png")]
    pub out: PathBuf,
    /// File for a table of the neighbours
    #[arg(long, value_name = "FILE.csv")]
    pub table: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub features: FeatureArgs,
}

#[derive(Debug, ClapArgs)]
pub struct Embed {
    /// Images: a pack, what `pack` takes, a folder of images or a .txt list
    #[arg(long, value_name = "PACK|SOURCE", required_unless_present = "vectors")]
    pub data: Option<PathBuf>,
    /// File of `features`, in place of computing them; --data then says where its images are now
    #[arg(long = "features", value_name = "FILE.h5")]
    pub vectors: Option<PathBuf>,
    /// Weights: a weights file, a checkpoint, or a run; not needed with --features
    #[arg(long, value_name = "FILE|RUN", required_unless_present = "vectors", conflicts_with = "vectors")]
    pub weights: Option<PathBuf>,
    /// Number of images, drawn at random
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(8..=50_000))]
    pub images: u32,
    /// Random seed of the choice of images and of the map
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// About the number of neighbours that an image keeps near it
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    pub perplexity: f64,
    /// Steps of the descent
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = batch)]
    pub steps: usize,
    /// PNG file to write
    #[arg(long, value_name = "FILE.png", default_value = "map.png")]
    pub out: PathBuf,
    /// File for a table of the positions
    #[arg(long, value_name = "FILE.csv")]
    pub table: Option<PathBuf>,
    #[command(flatten)]
    pub network: FeatureArgs,
}
