//! Arguments of `alexnet dataset`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{From, threads};

#[derive(Debug, ClapArgs)]
pub struct DatasetArgs {
    /// Images: a pack, what `pack` takes (class folders, a tar), or a folder of images without labels
    #[arg(value_name = "PACK|SOURCE")]
    pub data: PathBuf,
    /// Validation images, to be compared with these
    #[arg(long, value_name = "PACK|SOURCE")]
    pub val: Option<PathBuf>,
    /// Folder for report.json, tables of classes and duplicates, and plots
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Source format of images that are not packed [default: auto-detect]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub from: Option<From>,
    /// Labels of a source that has none, as `pack --labels` takes them
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Size of the squares of a source's images of which colours are computed and duplicates compared, as `pack` makes them
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=4096))]
    pub size: u32,
    /// Number of threads [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub jobs: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
