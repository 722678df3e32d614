//! Arguments of `pack`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::threads;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// Pixels: 196,608 bytes per image of 256 x 256, without decoding in training
    Raw,
    /// JPEG of --quality: about a tenth of the bytes; JPEGs of the right size are copied unchanged
    Jpeg,
}

/// Arguments of `pack` that `--verify` excludes.
const PACKING_OPTIONS: [&str; 18] = [
    "source",
    "out",
    "from",
    "labels",
    "image_column",
    "label_column",
    "split",
    "class_names",
    "size",
    "storage",
    "quality",
    "exif_orientation",
    "jobs",
    "shard_bytes",
    "max_bad",
    "classes_of",
    "val_fraction",
    "val_seed",
];

#[derive(Debug, ClapArgs)]
pub struct Pack {
    /// Images: class folders, ILSVRC tars, CIFAR, MNIST, HDF5 and more (see --from)
    #[arg(required_unless_present = "verify")]
    pub source: Option<PathBuf>,
    /// Folder of the pack; with --val-fraction, or a source that has train and val, the folder of train.pack and val.pack
    #[arg(required_unless_present = "verify")]
    pub out: Option<PathBuf>,
    /// Source format [default: auto-detect]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub from: Option<From>,
    /// Labels for an unlabelled source: a table of images and labels, a list of labels in the order of the image names
    /// (if the names are numbered), or the ILSVRC development kit (a folder or its .tar.gz)
    #[arg(long, value_name = "PATH")]
    pub labels: Option<PathBuf>,
    /// Column of the image names in a table of --labels: a header name, or else a number counted from 1 [default: auto-detect]
    #[arg(long, value_name = "COLUMN")]
    pub image_column: Option<String>,
    /// Column of the labels in a table of --labels: a header name, or else a number counted from 1; for WebDataset, the
    /// label key in .json files [default: auto-detect]
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Part of a CIFAR or MNIST folder to pack [default: train]
    #[arg(long, value_enum)]
    pub split: Option<Split>,
    /// Class names for a source with numbered classes: one name per line in label order, a number and a name per line, a
    /// JSON list, or a WordNet ID and its words per line (synset_words.txt, words.txt of Tiny ImageNet)
    #[arg(long, value_name = "FILE")]
    pub class_names: Option<PathBuf>,
    /// Image size: the shorter side is resized to it and the centre square is cropped
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub size: u32,
    /// Image storage
    #[arg(long, value_enum, default_value_t = Storage::Raw)]
    pub storage: Storage,
    /// JPEG quality, 1 to 100 [default: 95]
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,
    /// Rotate images by their EXIF orientation, here and in predictions of the trained network
    #[arg(long)]
    pub exif_orientation: bool,
    /// Number of threads [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub jobs: Option<usize>,
    /// Bytes of images in a shard, for tests of several small shards
    #[arg(long, value_name = "N", hide = true)]
    pub shard_bytes: Option<u64>,
    /// Maximum number of unreadable images, which are skipped and listed in OUT/bad.csv
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_bad: usize,
    /// Pack whose classes and class order to use, for validation and test sets. Numeric labels are class names if the source
    /// or the pack names classes by numbers, and indices otherwise
    #[arg(long, value_name = "PACK", conflicts_with = "class_names")]
    pub classes_of: Option<PathBuf>,
    /// Fraction of each class to hold out for validation, in OUT/val.pack beside OUT/train.pack. A class of one image has
    /// none held out
    #[arg(long, value_name = "FRACTION")]
    pub val_fraction: Option<f64>,
    /// Random seed of the held-out images
    #[arg(long, value_name = "N", default_value_t = 1, requires = "val_fraction")]
    pub val_seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Verify the checksums of a pack, without packing; takes no other option but --json
    #[arg(long, value_name = "PACK", conflicts_with_all = PACKING_OPTIONS)]
    pub verify: Option<PathBuf>,
}

/// Source format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Folder of class folders
    Folders,
    /// Tar of class tars (ILSVRC2012_img_train.tar), or a folder of `WNID.tar` files
    ClassTars,
    /// Tar of class folders, or of images with --labels (ILSVRC2012_img_val.tar)
    Tar,
    /// Folder of images with --labels, or with a .csv file of labels in it
    Labelled,
    /// WebDataset: tars of images, each with a .cls or .json file
    Webdataset,
    /// CIFAR-10 or CIFAR-100, binary or Python version: a folder, a file or the .tar.gz
    Cifar,
    /// IDX files (the MNIST family): a folder or a file, also gzipped
    Idx,
    /// HDF5 file with `images` and `labels`
    Hdf5,
}

/// Part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Split {
    Train,
    Test,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_excludes_all_other_options_of_pack() {
        let pack = Pack::augment_args(clap::Command::new("pack"));
        let others: Vec<&str> = pack.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        let others: Vec<&str> = others.into_iter().filter(|id| !["json", "verify"].contains(id)).collect();
        assert_eq!(others, PACKING_OPTIONS);
    }
}
