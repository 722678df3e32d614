//! The command line.

mod bench;

use std::path::PathBuf;

pub use bench::{Bench, BenchCommon, BenchData, BenchLayers, BenchSpeed, Output};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// AlexNet (Krizhevsky, Sutskever, Hinton, 2012): pack images, train, evaluate, and see what was learned.
#[derive(Debug, Parser)]
#[command(name = "alexnet", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draw images of ten kinds, pack them, train a small network, evaluate it and show what it learned.
    Demo(Demo),
    /// Pack images, as folders, archives or data files, into one memory-mapped data set; or check a pack.
    Pack(Pack),
    /// Train a network on a pack.
    Train(Box<Train>),
    /// Test a network on a pack: loss, top-1 and top-5 error.
    Eval(Eval),
    /// Name what images show.
    Predict(Predict),
    /// Show a network's layers, output shapes, parameters, multiply-accumulates and memory.
    Summary(Summary),
    /// Convert weights between our HDF5 (.h5) and safetensors (.safetensors), both ways.
    Convert(Convert),
    /// Show what a pack, run or weights file holds; without a path, devices and features.
    Info(Info),
    /// Draw some images of a pack with their labels, as stored and as training varies them.
    Show(Show),
    /// Measure how fast a network trains and predicts, and from where that comes.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Debug, ClapArgs)]
pub struct Demo {
    /// Folder to write images, packs, the run and the report to
    #[arg(long, value_name = "DIR", default_value = "alexnet-demo")]
    pub out: PathBuf,
    /// Decides the images and the network's beginning
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// Pixels as they are: 196,608 bytes an image of 256 x 256, nothing to decode when training
    Raw,
    /// JPEG of --quality: about a tenth of the bytes; a JPEG of the right size is kept as it is
    Jpeg,
}

#[derive(Debug, ClapArgs)]
pub struct Pack {
    /// Images: a folder of class folders, ILSVRC's tars, CIFAR, MNIST, HDF5 and more (--from lists them)
    #[arg(required_unless_present = "verify")]
    pub source: Option<PathBuf>,
    /// Folder to make; of a folder that holds train and val (or --val-fraction), that of train.pack and val.pack
    #[arg(required_unless_present = "verify")]
    pub out: Option<PathBuf>,
    /// What the source is [default: found by its content]
    #[arg(long, value_name = "KIND", value_enum)]
    pub from: Option<From>,
    /// Labels of images that come without: a table of images and labels, a list in the order of the images' names (if
    /// numbers in them leave no doubt of it), or ILSVRC's development kit (a folder or its .tar.gz)
    #[arg(long, value_name = "PATH")]
    pub labels: Option<PathBuf>,
    /// Column of images in a table of labels: a name of its header, else a number from 1 on [default: found by name or
    /// content]
    #[arg(long, value_name = "COLUMN")]
    pub image_column: Option<String>,
    /// Column of labels in a table of labels: a name of its header (a column that is named 3 comes before the third), else a
    /// number from 1 on; the key of the label in a WebDataset's .json [default: found by name or form]
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Which part of a folder of CIFAR or MNIST; for no other source [default: train]
    #[arg(long, value_enum)]
    pub split: Option<Split>,
    /// Names of classes that the source only numbers (not other names than it has): one a line in the order of the labels, a
    /// number and a name a line, a JSON list, or a wnid and its words a line (synset_words.txt, Tiny ImageNet's words.txt)
    #[arg(long, value_name = "FILE")]
    pub class_names: Option<PathBuf>,
    /// Shorter side to resize to, and side of the centre square that is kept
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub size: u32,
    /// How images are stored
    #[arg(long, value_enum, default_value_t = Storage::Raw)]
    pub storage: Storage,
    /// Quality of stored JPEGs, 1 to 100 [default: 95]
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,
    /// Turn images as their EXIF orientation says, here and when the trained network predicts; the data of 2012 was
    /// made without
    #[arg(long)]
    pub exif_orientation: bool,
    /// Threads to decode and resize with [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub jobs: Option<usize>,
    /// Bytes of images in a shard; for tests, which need several shards of little
    #[arg(long, value_name = "N", hide = true)]
    pub shard_bytes: Option<u64>,
    /// How many images may be unreadable, also of a pack that is complete; they are listed in OUT/bad.csv
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_bad: usize,
    /// Pack whose classes this one must have, in the same order (for validation and test sets); numbers as labels are
    /// found among them by name where the source names its classes or they are named by numbers, else they are places
    #[arg(long, value_name = "PACK", conflicts_with = "class_names")]
    pub classes_of: Option<PathBuf>,
    /// Share of the images of each class to hold out for validation: makes OUT/train.pack and OUT/val.pack. Of a class of one
    /// image none is
    #[arg(long, value_name = "SHARE")]
    pub val_fraction: Option<f64>,
    /// Decides which images are held out
    #[arg(long, value_name = "N", default_value_t = 1, requires = "val_fraction")]
    pub val_seed: u64,
    /// Compare all checksums of a pack, and pack nothing: takes no other option
    #[arg(long, value_name = "PACK", exclusive = true)]
    pub verify: Option<PathBuf>,
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// A folder of class folders
    Folders,
    /// A tar of class tars (ILSVRC2012_img_train.tar), or a folder of `WNID.tar`
    ClassTars,
    /// A tar of class folders; with --labels, of images (ILSVRC2012_img_val.tar)
    Tar,
    /// A folder of images with --labels, or with a .csv of labels in it
    Labelled,
    /// A tar, or a folder of tars, of images each with its .cls or .json
    Webdataset,
    /// CIFAR-10 or CIFAR-100, binary or Python version: a folder, a file or the .tar.gz
    Cifar,
    /// Files of MNIST's form, a folder or a file, compressed by gzip or not
    Idx,
    /// An HDF5 file of `images` and `labels`
    Hdf5,
}

/// Part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Split {
    Train,
    Test,
}

#[derive(Debug, ClapArgs)]
#[command(after_long_help = after_train())]
pub struct Train {
    /// Pack to train on
    #[arg(long, value_name = "PACK")]
    pub data: Option<PathBuf>,
    /// Pack to validate on after each epoch
    #[arg(long, value_name = "PACK")]
    pub val: Option<PathBuf>,
    /// Network: a preset's name or a TOML file [default: paper]
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Folder of the run [default: runs/MODEL-N]
    #[arg(long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Passes over the pack; take the place of steps that a file or a run that is resumed has
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    pub epochs: Option<u64>,
    /// Steps, in place of epochs
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Images a step [default: the network's, else 128]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Decides initial weights, order, augmentation and dropout [default: 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The CPU's threads, to compute and to load images [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Where to compute: auto (a GPU if there is one), cpu, `cuda[:N]` or `wgpu[:N]` [default: auto]
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// Number format of layers' outputs and of products; weights are always f32 [default: f32]
    #[arg(long, value_name = "P", value_parser = PRECISIONS)]
    pub precision: Option<String>,
    /// Weights to begin with
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Settings in a file of the form of run.toml
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Any setting of run.toml, e.g. optim.lr=0.001 (--help lists them); may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Go on with the run in --out where its newest checkpoint is
    #[arg(long, requires = "out")]
    pub resume: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Where {
    /// The CPU's threads, to compute and to load images [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Where to compute: auto (a GPU if there is one), cpu, `cuda[:N]` or `wgpu[:N]`
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: String,
    /// Number format of layers' outputs and of products; weights are always f32
    #[arg(long, value_name = "P", default_value = "f32", value_parser = PRECISIONS)]
    pub precision: String,
}

#[derive(Debug, ClapArgs)]
pub struct Trained {
    /// Weights: a file, a checkpoint, or a run's folder (its newest checkpoint)
    #[arg(long, value_name = "FILE|RUN")]
    pub weights: PathBuf,
    /// The network, for a weights file that does not name it; where it is known, no other is taken
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Crops an image: 1 (centre) or 10 (corners, centre, their mirrors; softmax averaged)
    #[arg(long, default_value = "1", value_parser = ["1", "10"])]
    pub crops: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, ClapArgs)]
pub struct Eval {
    /// Pack to test on
    #[arg(long, value_name = "PACK")]
    pub data: PathBuf,
    /// Images at a time
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch)]
    pub batch: usize,
    #[command(flatten)]
    pub trained: Trained,
}

#[derive(Debug, ClapArgs)]
pub struct Predict {
    /// Images of any size and type
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<PathBuf>,
    /// Classes to name
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = batch)]
    pub top: usize,
    #[command(flatten)]
    pub trained: Trained,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SummaryStyle {
    /// All there is to say, a layer a line
    Table,
    /// As Keras' model.summary() prints it
    Keras,
}

#[derive(Debug, ClapArgs)]
pub struct Summary {
    /// A preset's name or a TOML file
    pub model: String,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = SummaryStyle::Table)]
    pub style: SummaryStyle,
    /// Images a step, for the memory of a table [default: 128]
    #[arg(long, value_name = "N", value_parser = batch)]
    pub batch: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct Convert {
    /// Weights to read: .h5 (a checkpoint too) or .safetensors; told by content
    pub input: PathBuf,
    /// File to write: .h5 or .safetensors; none of a pack or a run
    pub output: PathBuf,
    /// The network, for a weights file that does not name it; where it is known, no other is taken
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Info {
    /// A pack's folder, a run's folder, or a weights file
    pub path: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Show {
    /// Pack to look into
    #[arg(value_name = "PACK")]
    pub pack: PathBuf,
    /// PNG to write; its name ends in .png
    #[arg(long, value_name = "FILE", default_value = "grid.png")]
    pub out: PathBuf,
    /// Images to draw, from all of the pack
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub images: u32,
    /// How often each is varied
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=16))]
    pub variants: u32,
    /// Side of the crops [default: seven eighths of the images', as the paper's 224 of 256]
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<usize>,
    /// Decides which images and what is drawn for them
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

const PRECISIONS: [&str; 3] = ["f32", "tf32", "bf16"];

fn threads(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1024).contains(n)).ok_or_else(|| "expected a number in 1..=1024".to_string())
}

fn batch(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1 << 20).contains(n)).ok_or_else(|| "expected a number of at least 1".to_string())
}

const SAVING: &str = "
A run saves a checkpoint when it ends or is stopped, after an epoch that validated best so far, and after any other epoch
unless the last save ended less than 20 times as long ago as it took: of short epochs not each is saved.
run.checkpoint_steps saves at its steps in any case. run.keep_checkpoints counts checkpoints that were saved.
";

fn after_train() -> String {
    let settings = train::config::docs::help();
    format!("Settings for --set and --config (in run.toml as [section] name = value):\n{settings}{SAVING}")
}
