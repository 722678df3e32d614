//! Arguments of the commands that use a trained network.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::{CheckpointArgs, ComputeArgs, From, batch, temperature};

/// A trained network.
#[derive(Debug, ClapArgs)]
pub struct NetworkArgs {
    /// Weights: a weights file, a checkpoint, or a run (its best checkpoint, or else its newest). Repeat it to average the
    /// predictions of several networks
    #[arg(long, value_name = "FILE|RUN", required = true)]
    pub weights: Vec<PathBuf>,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Network, for a weights file that does not name its own; if it does, both must agree
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Crops per image: 1 (centre), 10 (corners, centre and their flips; softmax averaged), or dense (every position of the
    /// network on the whole image and its flip)
    #[arg(long, default_value = "1", value_parser = ["1", "10", "dense"])]
    pub crops: String,
    /// Temperature that logits are divided by, as `eval` finds it: above 1 for less sure probabilities, in the same order
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature)]
    pub temperature: f64,
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
pub struct Eval {
    /// Images with labels: a pack, what `pack` takes (class folders, a tar, a folder with --labels), or a list of images and
    /// labels (.csv, .tsv, .txt) in their folder
    #[arg(long, value_name = "PACK|SOURCE")]
    pub data: PathBuf,
    /// Source format [default: auto-detect]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub from: Option<From>,
    /// Labels of a source that has none, as `pack --labels` takes them
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Number of crops in a batch
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch)]
    pub batch: usize,
    /// Print precision, recall and F1 of each class
    #[arg(long)]
    pub per_class: bool,
    /// Folder for tables and plots: classes, confusion matrix, calibration, ROC curve of two classes, worst mistakes,
    /// least certain images
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// File for the probabilities of all classes for each image: .csv or .h5
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Random seed of the intervals, which are drawn by the bootstrap
    #[arg(long, value_name = "N", default_value_t = 2012)]
    pub seed: u64,
    #[command(flatten)]
    pub network: NetworkArgs,
}

#[derive(Debug, ClapArgs)]
pub struct Predict {
    /// Images of any size and format; folders, which are searched with all below them; patterns such as 'photos/*.jpg'; tars;
    /// or - for standard input: one image, or a list of paths, one a line
    #[arg(value_name = "IMAGE|FOLDER|TAR|-", required = true)]
    pub images: Vec<PathBuf>,
    /// Number of crops in a batch
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch)]
    pub batch: usize,
    /// Print only classes of at least this probability, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub threshold: f32,
    /// Output format; json and jsonl have the fields of --json
    #[arg(long, value_enum, default_value_t = PredictionFormat::Text, conflicts_with = "json")]
    pub format: PredictionFormat,
    /// Draw the images with bars of their most probable classes, as in the paper's figure 4 (the first 120)
    #[arg(long, value_name = "FILE.png")]
    pub plot: Option<PathBuf>,
    /// Number of classes to print
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = batch)]
    pub top: usize,
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Output format of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PredictionFormat {
    /// The image's name, and a line a class
    Text,
    /// One JSON array
    Json,
    /// One JSON object a line
    Jsonl,
    /// A row for each image and class: file, rank, class, name, probability
    Csv,
}
