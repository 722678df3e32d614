//! Safetensors of this crate, which PyTorch's tools load, and of other programs.
//!
//! Tensors are written under the names that the network exports (torchvision's for `one-weird-trick`, else this
//! crate's: `conv1.weight`) and in PyTorch's layouts (convolutions OIHW, the first linear layer's inputs in order of
//! channel, row, column), in the network's order, and no other tensors: PyTorch's `load_state_dict` takes them with
//! `strict=True`.
//!
//! The crate `safetensors` reads and writes files that are in memory as a whole; this one goes through them in blocks,
//! with a checksum of each tensor, and refuses damage with the tensor's name. The tests compare it with that crate.
//!
//! The metadata, always in this order:
//!
//! | key | value |
//! |---|---|
//! | `format` | `pt`, which PyTorch's tools require |
//! | `alexnet.format` | `weights` |
//! | `alexnet.version` | [`VERSION`] |
//! | `alexnet.model` | the network's TOML; absent for a module in code and for other tensors |
//! | `alexnet.classes` | a JSON list of names; absent where unknown |
//! | `alexnet.exif_orientation` | `true` if the EXIF orientation was applied to the training set's images; absent if not |
//! | `alexnet.mean_image` | the training set's mean image, if the network subtracts it: a JSON object of its `height`, its `width`, and `data`, the base64 of its values (f32, little-endian, RGB, 0 to 255, the channels innermost) |
//! | `alexnet.mean_rgb` | the training set's mean colour, a JSON list of three numbers from 0 to 255; absent where unknown |
//! | `alexnet.crc32c` | a JSON object: of each tensor, and of the texts from the network's on, the CRC-32C of its bytes in hexadecimal |
//!
//! A file with `alexnet.format` must have all keys but those from the network to the mean colour. In version 1 the means
//! were tensors of the names of their keys, `[3, height, width]` and `[3]`. A program that changes tensors must leave out the keys that begin with `alexnet.`; the file is then loaded for a network that the caller names
//! ([`Weights::load_for`](super::Weights::load_for)).
//!
//! Reading converts f64, f16 and bf16 to f32, refuses f64 beyond f32, and checks the header as strictly as safetensors' own library does
//! (no gaps, no overlaps, nothing after the last tensor), and for duplicate names.

mod convert;
mod header;
mod means;
mod names;
mod read;
mod write;

pub(super) use header::Entry;
pub(super) use read::{load, load_metadata, load_parameters, load_tensors, tensor_types};
pub(super) use write::{save, save_parameters, save_tensors};

/// The version of the metadata that this crate writes. It reads all versions up to this one.
pub const VERSION: u32 = 2;

const FORMAT_KEY: &str = "alexnet.format";
const VERSION_KEY: &str = "alexnet.version";
const MODEL_KEY: &str = "alexnet.model";
const CLASSES_KEY: &str = "alexnet.classes";
const EXIF_ORIENTATION_KEY: &str = "alexnet.exif_orientation";
const CRC_KEY: &str = "alexnet.crc32c";
const FORMAT: &str = "weights";
const MEAN_IMAGE: &str = "alexnet.mean_image";
const MEAN_RGB: &str = "alexnet.mean_rgb";
/// Keys whose texts have checksums.
const CHECKED_KEYS: [&str; 5] = [MODEL_KEY, CLASSES_KEY, EXIF_ORIENTATION_KEY, MEAN_IMAGE, MEAN_RGB];
