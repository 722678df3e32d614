//! `alexnet bench`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{ComputeArgs, batch, threads};

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Training speed on synthetic images that stay on the device, or on a pack.
    Train(BenchTrain),
    /// Inference speed on synthetic images that stay on the device.
    Predict(BenchSpeed),
    /// Profile of a training step or of inference: time of each kernel by layer, and its fraction of the device's limits.
    Layers(BenchLayers),
    /// Data loading speed by stage (storage, decoding, augmentation, consumer), and the bottleneck.
    Data(BenchData),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Normalised crops as floats
    Floats,
    /// Whole images as bytes with their crop parameters, as `train` uploads them
    #[value(alias = "pictures")]
    Images,
}

#[derive(Debug, ClapArgs)]
pub struct BenchData {
    /// Pack to load
    #[arg(value_name = "PACK")]
    pub pack: PathBuf,
    /// Output of the loader
    #[arg(long, value_enum, default_value_t = Output::Floats)]
    pub output: Output,
    /// Crop size [default: 224, or the image size if that is less]
    #[arg(long, value_name = "N", value_parser = batch)]
    pub crop: Option<usize>,
    /// Batch size [default: 128, or all images if they are fewer]
    #[arg(long, value_name = "N", value_parser = batch)]
    pub batch: Option<usize>,
    /// Number of loader threads [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Seconds per stage
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = seconds)]
    pub seconds: f64,
    /// Set a setting of [data], or run.seed, e.g. data.mixup=0.2 [default: those of paper]; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BenchTrain {
    #[command(flatten)]
    pub speed: BenchSpeed,
    /// Pack to train on; reports whether the loader or the device is the bottleneck
    #[arg(long, value_name = "PACK")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct BenchSpeed {
    #[command(flatten)]
    pub common: BenchCommon,
    /// Batch size, or several batch sizes to measure one after the other
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [128], value_parser = batch)]
    pub batch: Vec<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct BenchLayers {
    #[command(flatten)]
    pub common: BenchCommon,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch)]
    pub batch: usize,
    /// Profile inference instead of training
    #[arg(long)]
    pub predict: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BenchCommon {
    /// Preset or TOML file
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Seconds per measurement, after a warm-up of a few steps; at least three steps are measured
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

fn seconds(text: &str) -> Result<f64, String> {
    let within = |s: &f64| (0.0..=3600.0).contains(s);
    text.parse().ok().filter(within).ok_or_else(|| "expected a number of seconds in 0..=3600".to_string())
}
