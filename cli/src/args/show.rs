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
    /// Crop size [default: 7/8 of the image size, as 224 of 256 in the paper]
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<usize>,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}
