//! Arguments of `alexnet show`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub struct Show {
    /// Pack
    #[arg(value_name = "PACK")]
    pub pack: PathBuf,
    /// PNG file to write
    #[arg(long, value_name = "FILE", default_value = "grid.png")]
    pub out: PathBuf,
    /// Number of images, spread over the pack
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub images: u32,
    /// Augmented variants per image
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=16))]
    pub variants: u32,
    /// Show the augmentation of this run in place of the paper's
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Set a setting of the augmentation, e.g. data.random_erasing=0.5 (train --help lists all); repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Crop size [default: that of the run, or else 7/8 of the image size, as 224 of 256 in the paper]
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<usize>,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}
