//! Packs image data sets into memory-mapped files and loads training batches from them.
//!
//! [`pack`](fn@pack) decodes the images of a source once (class folders, ILSVRC's tars and more: see [`SourceKind`]),
//! resizes and crops them to squares as the paper does (Krizhevsky, Sutskever, Hinton, "ImageNet Classification with
//! Deep Convolutional Neural Networks", 2012, section 2) and stores them in a few large HDF5 files, together with the
//! mean image and the principal components of colour. [`Pack`] memory-maps those files. [`Loader`] makes batches
//! on several threads: random crops, mirrors and colour noise for training, plus augmentations newer
//! than the paper ([`Augment`]); the centre crop or ten crops for evaluation. A pack larger than memory is shuffled in
//! windows ([`Shuffle`]).
//!
//! Everything is deterministic: the bytes of a pack do not depend on the number of threads, and batches depend neither
//! on the number of threads nor on where an epoch is resumed. Untrusted input is validated: see [`BadImage`] for images
//! and [`Pack::open`] for packs.
//!
//! ```no_run
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
//! for batch in loader.batches(0, 0) {
//!     let batch = batch?;
//!     let images = loader.crops(&batch)?;
//!     println!("{:?} {:?}", images.shape(), batch.labels);
//! }
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod decode;
mod error;
mod format;
mod hdf5_io;
pub mod ilsvrc2012;
mod jpeg;
mod loader;
mod pack;
mod prefetch;
mod reader;
mod source;
mod statistics;

pub use decode::{
    DecodeOptions, Image, decode_image, decode_square, read_image, read_square, read_square_with, resize_and_crop,
};
pub use error::{BadImage, Error, Result};
pub use format::Storage;
pub use loader::{
    Augment, Batch, ColourJitter, ColourNoise, ColourRule, Loader, LoaderOptions, MixedLabel, MixupCutmix,
    RandomErasing, ResizedCrop, Shuffle, StoredImages, Views, crop_image,
};
pub use ndarray;
pub use pack::{
    HoldOut, PackOptions, PackReport, Progress, Rejected, Subset, TrainValReport, holds_train_and_val, pack,
    pack_train_and_val,
};
pub use prefetch::Prefetch;
pub use reader::Pack;
#[cfg(unix)]
pub use reader::install_sigbus_handler;
pub use source::{SourceKind, Split, read_class_names};
pub use statistics::{PrincipalComponents, Statistics};
pub use tensor;
pub use tensor::ops::{CropAndNormalize, CropParams, Mean};

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
