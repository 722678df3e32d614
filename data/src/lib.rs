//! Packs image data sets into memory-mapped files and loads training batches from them.
//!
//! [`pack`](fn@pack) decodes the images of a source once (class folders, ILSVRC's tars and more: see [`SourceKind`]),
//! resizes and crops them to squares as the paper does (Krizhevsky, Sutskever, Hinton, "ImageNet Classification with
//! Deep Convolutional Neural Networks", 2012, section 2) and stores them in a few large HDF5 files, together with the
//! mean image and the principal components of colour. [`PackWriter`] does so for images that you read and decode.
//! [`Pack`] memory-maps those files. [`Loader`] makes batches of a pack, of a source without packing ([`SourceImages`])
//! or of own storage ([`Dataset`]) on several threads: random crops, mirrors and colour noise for training, plus
//! augmentations newer than the paper ([`Augment`]) and own ones ([`PixelAugmentation`]); the centre crop or ten crops
//! for evaluation. A pack larger than memory is shuffled in windows ([`Shuffle`]).
//!
//! The feature `hdf5`, on by default, has what needs the HDF5 library: packs, and HDF5 files as sources.
//!
//! Everything is deterministic: the bytes of a pack do not depend on the number of threads, and batches depend neither
//! on the number of threads nor on where an epoch is resumed. Untrusted input is validated: see [`BadImage`] for images
//! and [`Pack::open`] for packs.
//!
#![cfg_attr(feature = "hdf5", doc = "```no_run")]
#![cfg_attr(not(feature = "hdf5"), doc = "```ignore")]
//! use std::sync::Arc;
//! use alexnet_data::{Augment, CropAndNormalize, Loader, LoaderOptions, Mean, Pack, PackOptions, Shuffle, pack};
//!
//! # fn main() -> alexnet_data::Result<()> {
//! pack(&PackOptions::new("photographs/train", "train.pack"), |_| ())?;
//! let pack = Arc::new(Pack::open("train.pack")?);
//! let mean = Mean::Image(pack.statistics().mean_image.clone());
//! let input = CropAndNormalize { mean, ..CropAndNormalize::crop_only(224) };
//! let augment = Some(Augment { random_crop: true, mirror: true, ..Augment::default() });
//! let options = LoaderOptions { shuffle: Shuffle::Full, augment, ..LoaderOptions::default() };
//! let loader = Loader::new(pack, input, options)?;
//! for batch in loader.crop_batches(0, 0) {
//!     let batch = batch?;
//!     println!("{:?} {:?}", batch.images.shape(), batch.labels);
//! }
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]
// What only packs use.
#![cfg_attr(not(feature = "hdf5"), allow(dead_code, unused_imports, rustdoc::broken_intra_doc_links))]

mod dataset;
mod decode;
mod error;
mod format;
#[cfg(feature = "hdf5")]
mod hdf5_io;
pub mod ilsvrc2012;
mod jpeg;
mod loader;
#[cfg(feature = "hdf5")]
mod pack;
mod prefetch;
#[cfg(feature = "hdf5")]
mod reader;
mod source;
mod statistics;

pub use crop;
pub use crop::{CropAndNormalize, CropParams, HostImages, Mean};
pub use dataset::{Dataset, ImageContent};
pub use decode::{
    DecodeOptions, Image, decode_image, decode_square, read_image, read_square, read_square_with, resize_and_crop,
};
pub use error::{BadImage, Error, Result};
pub use format::Storage;
pub use loader::{
    Augment, Batch, ColourJitter, ColourNoise, ColourRule, CropBatch, Layout, Loader, LoaderOptions, MixedLabel,
    MixupCutmix, PixelAugmentation, RandomErasing, ResizedCrop, SampleRng, Shuffle, StageTimes, StoredImages, Views,
    crop_image, crop_images,
};
pub use ndarray;
#[cfg(feature = "hdf5")]
pub use pack::{
    HoldOut, PackOptions, PackReport, PackWriter, PackWriterOptions, Progress, Rejected, Subset, TrainValReport,
    holds_train_and_val, pack, pack_train_and_val,
};
pub use prefetch::Prefetch;
pub use random;
#[cfg(feature = "hdf5")]
pub use reader::Pack;
#[cfg(all(feature = "hdf5", unix))]
pub use reader::install_sigbus_handler;
pub use source::{SourceImages, SourceKind, SourceSettings, Split, read_class_names};
pub use statistics::{PrincipalComponents, Statistics, StatisticsBuilder};

/// The README's code, compiled.
#[cfg(all(doctest, feature = "hdf5"))]
#[doc = include_str!("../README.md")]
struct Readme;
