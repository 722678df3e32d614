//! `alexnet bench`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{Where, batch, threads};

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Training steps a second, on noise that stays on the device or on a pack.
    Train(BenchTrain),
    /// Predictions a second, on noise that stays on the device.
    Predict(BenchSpeed),
    /// A training step, or a prediction, by layer: the time of each kernel, and its share of what the device can do.
    Layers(BenchLayers),
    /// A pack's loader by stage: storage, decoding, augmentation, consumer, and which of them bounds it.
    Data(BenchData),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Cropped and normalized floats
    Floats,
    /// Stored images with crop parameters, as `train` gives them to a device
    #[value(alias = "pictures")]
    Images,
}

#[derive(Debug, ClapArgs)]
pub struct BenchData {
    /// Pack to load
    #[arg(value_name = "PACK")]
    pub pack: PathBuf,
    /// Form in which images leave the loader
    #[arg(long, value_enum, default_value_t = Output::Floats)]
    pub output: Output,
    /// Side of the crops [default: 224, or the images' if that is less]
    #[arg(long, value_name = "N", value_parser = batch)]
    pub crop: Option<usize>,
    /// Images a batch
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch)]
    pub batch: usize,
    /// Threads to load with [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Seconds a stage
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = seconds)]
    pub seconds: f64,
    /// A setting of [data] or run.seed, e.g. data.mixup=0.2 [default: the paper's]; may be given again
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
    /// Pack to train on, loaded as `train` does; tells whether the loader or the device is the limit
    #[arg(long, value_name = "PACK")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct BenchSpeed {
    #[command(flatten)]
    pub common: BenchCommon,
    /// Images a step; several sizes are measured one after the other
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [128], value_parser = batch)]
    pub batch: Vec<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct BenchLayers {
    #[command(flatten)]
    pub common: BenchCommon,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch)]
    pub batch: usize,
    /// Predict instead of training
    #[arg(long)]
    pub predict: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BenchCommon {
    /// A preset's name or a TOML file
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Seconds a measurement, after a few steps to warm up; at least three steps are measured
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub place: Where,
}

fn seconds(text: &str) -> Result<f64, String> {
    let within = |s: &f64| (0.0..=3600.0).contains(s);
    text.parse().ok().filter(within).ok_or_else(|| "expected a number of seconds in 0..=3600".to_string())
}
