//! ImageNet, folders of photographs and the usual sets of small images to memory-mapped packs, and packs to batches for
//! training convolutional networks.
//!
//! [`pack`](fn@pack) decodes the images of a source once (class folders, ILSVRC's tars and more: see [`SourceKind`]), makes squares of them as the paper does
//! (Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012, section 2)
//! and stores them in a few large HDF5 files, with their mean and their colour components. [`Pack`] maps those files.
//! [`Loader`] makes batches from it on several threads, of floats or of bytes: random crops, mirrors and colour noise in
//! training, and what came after the paper ([`Augment`]); the centre or ten crops in a test. A pack larger than memory is
//! shuffled in windows ([`Shuffle`]).
//!
//! Everything is deterministic: the bytes of a pack whatever the number of threads, and the batches whatever the number
//! of threads or the place to begin at. Nothing that comes from outside is trusted: see [`BadImage`] for images and
//! [`Pack::open`] for packs.
//!
//! ```no_run
//! use std::sync::Arc;
//! use alexnet_data::{Augment, Input, Loader, LoaderOptions, Mean, Pack, PackOptions, Shuffle, pack};
//!
//! # fn main() -> alexnet_data::Result<()> {
//! pack(&PackOptions::new("photographs/train", "train.pack"), |_| ())?;
//! let pack = Arc::new(Pack::open("train.pack")?);
//! let mean = Mean::Image(pack.statistics().mean_image.clone());
//! let input = Input { crop: 224, bgr: false, scale: 1.0, mean, deviation: None };
//! let augment = Some(Augment { random_crop: true, mirror: true, ..Augment::default() });
//! let loader = Loader::new(pack, input, LoaderOptions { shuffle: Shuffle::Full, augment, ..LoaderOptions::default() })?;
//! for batch in loader.batches(0, 0) {
//!     let batch = batch?;
//!     println!("{:?} {:?}", batch.images.shape(), batch.labels);
//! }
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod decode;
mod error;
mod format;
mod hdf;
pub mod ilsvrc2012;
mod jpeg;
mod loader;
mod pack;
mod reader;
mod source;
mod statistics;

pub use decode::{
    DecodeOptions, Image, decode_image, decode_square, read_image, read_square, read_square_with, resize_and_crop,
};
pub use error::{BadImage, Error, Result};
pub use format::Storage;
pub use loader::{
    Augment, Batch, Batches, Colour, ColourRule, CropBatch, Erase, Input, Jitter, Loader, LoaderOptions, Mean, Mix,
    Mixed, Preparation, RawBatch, ResizedCrop, Shuffle, Views, views,
};
pub use ndarray;
pub use pack::{
    HoldOut, PackOptions, PackReport, Part, Progress, Refused, TrainAndVal, holds_train_and_val, pack,
    pack_train_and_val,
};
pub use reader::Pack;
#[cfg(unix)]
pub use reader::exit_on_cut_file;
pub use source::{SourceKind, Split, read_class_names};
pub use statistics::{Components, Statistics};
pub use tensor;
