//! The command line.

mod bench;
mod dataset;
mod examples;
mod explain;
mod features;
mod filters;
mod pack;
mod report;
mod reproduce;
mod runs;
mod serve;
mod show;
mod train;
mod trained;

use std::path::PathBuf;

pub use bench::{Bench, BenchCommon, BenchData, BenchLayers, BenchSpeed, Output};
use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
pub use dataset::DatasetArgs;
pub use explain::{Explain, Maps, OneNetworkArgs};
pub use features::{Embed, FeatureArgs, Features, Neighbours};
pub use filters::{Filters, Scale, Sort};
pub use pack::{From, Pack, Split, Storage};
pub use report::Report;
pub use reproduce::Reproduce;
pub use runs::{CheckpointArgs, Compare, Runs, Sweep, TrainModes};
pub use serve::Serve;
pub use show::Show;
pub use train::Train;
pub use trained::{Eval, NetworkArgs, Predict, PredictionFormat};

/// AlexNet (Krizhevsky, Sutskever and Hinton, 2012): pack images, train, evaluate and look inside the network.
#[derive(Debug, Parser)]
#[command(name = "alexnet", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Print results and errors only: no progress and no notes
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Parses the command line.
///
/// # Errors
/// The help, the version or the usage error that was asked for.
pub fn parse() -> clap::error::Result<Args> {
    let mut command = with_negative_numbers(Args::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Takes a negative number behind an option for its value, not for another option: the error then names the range.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let takes_value = |arg: &clap::Arg| !arg.is_positional() && arg.get_action().takes_values();
    command
        .mut_args(|arg| if takes_value(&arg) { arg.allow_negative_numbers(true) } else { arg })
        .mut_subcommands(with_negative_numbers)
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate a toy data set, train a small AlexNet on it, evaluate it and plot what it learned.
    Demo(Demo),
    /// Pack images from folders, archives or data files into a memory-mapped data set, or verify a pack.
    #[command(after_help = examples::PACK)]
    Pack(Pack),
    /// Train a network on a pack.
    Train(Box<Train>),
    /// Evaluate a network on labelled images: errors, classes, confusion and calibration.
    #[command(after_help = examples::EVAL)]
    Eval(Eval),
    /// Classify images.
    #[command(after_help = examples::PREDICT)]
    Predict(Predict),
    /// Print the layers of a network: output shapes, parameters, multiply-accumulates and memory.
    #[command(after_help = examples::SUMMARY)]
    Summary(Summary),
    /// Convert weights between formats: HDF5, safetensors, PyTorch, and from other frameworks.
    #[command(visible_alias = "export", after_help = examples::CONVERT)]
    Convert(Convert),
    /// Describe a pack, a run or a weights file; without a path, devices and build features.
    #[command(after_help = examples::INFO)]
    Info(Info),
    /// Plot images of a pack with their labels, as stored and with augmentation.
    #[command(after_help = examples::SHOW)]
    Show(Show),
    /// Look at a data set before training: classes, sizes, colours, near-duplicates, and images of validation in training.
    #[command(after_help = examples::DATASET)]
    Dataset(DatasetArgs),
    /// Draw the kernels that a convolution learned, as in the paper's figure 3.
    #[command(after_help = examples::FILTERS)]
    Filters(Filters),
    /// Compute the features of images: the activations of a layer, to a file for other programs and commands.
    #[command(after_help = examples::FEATURES)]
    Features(Features),
    /// Find the images whose features are nearest to those of others, as in the paper's figure 4.
    #[command(visible_alias = "neighbors", after_help = examples::NEIGHBOURS)]
    Neighbours(Neighbours),
    /// Draw a map of images in which those with similar features are near each other (t-SNE).
    #[command(after_help = examples::EMBED)]
    Embed(Embed),
    /// Draw the feature maps of an image, layer by layer.
    #[command(after_help = examples::MAPS)]
    Maps(Maps),
    /// Draw where in an image the evidence for a class is: occlusion, gradients, SmoothGrad, Grad-CAM.
    #[command(after_help = examples::EXPLAIN)]
    Explain(Explain),
    /// List runs: settings that differ, best error, loss, speed and state.
    #[command(after_help = examples::RUNS)]
    Runs(Runs),
    /// Compare runs: settings that differ, final numbers, and their curves in one plot.
    #[command(after_help = examples::COMPARE)]
    Compare(Compare),
    /// Write a report on runs as one HTML page: curves, kernels, confusion, calibration, mistakes, settings.
    #[command(after_help = examples::REPORT)]
    Report(Report),
    /// Train with many combinations of settings, as a file describes them.
    #[command(after_help = examples::SWEEP)]
    Sweep(Sweep),
    /// Repeat a published experiment: train its networks, and put the figures beside the published ones.
    #[command(after_help = examples::REPRODUCE)]
    Reproduce(Reproduce),
    /// Serve a network: a web page for images, a page of a running training, and a JSON API.
    #[command(after_help = examples::SERVE)]
    Serve(Box<Serve>),
    /// Benchmark training, inference and data loading.
    #[command(subcommand)]
    Bench(Bench),
    /// Print a shell completion script, e.g. for `source <(alexnet completions bash)`.
    Completions(Completions),
}

#[derive(Debug, ClapArgs)]
pub struct Demo {
    /// Folder for images, packs, runs and plots
    #[arg(long, value_name = "DIR", default_value = "alexnet-demo")]
    pub out: PathBuf,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub compute: TrainingComputeArgs,
}

/// Device, number format and threads of training.
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

/// Device, number format and threads of prediction and benchmarks.
#[derive(Debug, ClapArgs)]
pub struct ComputeArgs {
    /// Number of CPU threads, for kernels and for loading [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Device: auto (a GPU if there is one), cpu, `cuda[:N]` or `wgpu[:N]`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Number format of activations and matrix products; weights are f32. int8, for prediction on the CPU: weights of fully
    /// connected layers in 8 bits
    #[arg(long, value_name = "FORMAT", default_value = "f32", value_parser = PREDICTION_PRECISIONS)]
    pub precision: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SummaryStyle {
    /// One line per layer, all columns
    Table,
    /// The format of model.summary() in Keras
    Keras,
    /// The network as a TOML file, to be changed and named by --model
    Toml,
}

#[derive(Debug, ClapArgs)]
pub struct Summary {
    /// Preset, TOML file, run, or a weights file that describes its network
    pub model: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = SummaryStyle::Table, conflicts_with = "json")]
    pub style: SummaryStyle,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Batch size of the memory estimates [default: 128]
    #[arg(long, value_name = "N", value_parser = batch)]
    pub batch: Option<usize>,
    /// Layers that training freezes: names, globs (`conv*`) and ranges (conv1..conv5), separated by commas
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    pub freeze: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Convert {
    /// Weights to read: a file of any framework, a checkpoint or a run; the format is detected from the content
    pub input: PathBuf,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// File to write, in the format of its ending: .h5, .safetensors, .pt, .pth, .onnx, .keras or .weights.h5; not in a
    /// pack or a run
    pub output: PathBuf,
    /// Network, for a weights file that does not name its own; if it does, both must agree
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Format to write, whatever the file's ending
    #[arg(long, value_parser = PossibleValuesParser::new(formats::Format::written()))]
    pub format: Option<String>,
    /// End an ONNX graph with the softmax: it gives probabilities in place of logits
    #[arg(long)]
    pub softmax: bool,
    /// Mean to store with the weights of a network that subtracts one: `imagenet`, R,G,B, a .npy or .binaryproto image, a
    /// pack, or weights that have one
    #[arg(long, value_name = "MEAN")]
    pub mean: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Info {
    /// Pack, run or weights file
    pub path: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Completions {
    /// Shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// Number formats of training.
const PRECISIONS: [&str; 3] = ["f32", "tf32", "bf16"];
/// Number formats of prediction.
const PREDICTION_PRECISIONS: [&str; 4] = ["f32", "tf32", "bf16", "int8"];

fn whole_number(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) if is_number => Err(format!("too large a number; the largest is {}", i64::MAX)),
        Err(_) => Err("expected a whole number of at least 0".into()),
    }
}

fn threads(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1024).contains(n)).ok_or_else(|| "expected a number in 1..=1024".to_string())
}

fn temperature(text: &str) -> Result<f64, String> {
    let range = 0.01..=100.0;
    text.parse().ok().filter(|t| range.contains(t)).ok_or_else(|| "expected a number from 0.01 to 100".to_string())
}

fn batch(text: &str) -> Result<usize, String> {
    let range = 1..=1 << 20;
    text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| format!("expected a number in 1..={}", range.end()))
}
