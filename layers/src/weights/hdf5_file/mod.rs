//! HDF5 files of weights and checkpoints. h5py and the HDF5 tools open them.
//!
//! | place | content |
//! |---|---|
//! | attribute `format` | `alexnet weights` |
//! | attribute `version` | u32, [`VERSION`] |
//! | attributes `model`, `model_crc32c` | the network's TOML; absent where unknown |
//! | attribute `exif_orientation` | u8, 1 if the EXIF orientation was applied to the training set's images; absent if not |
//! | group `parameters` | an f32 dataset for each parameter, in this crate's names and layouts (channels last) |
//! | dataset `classes` | names in order, fixed-length UTF-8; absent where unknown |
//! | dataset `mean_image` | `[height, width, 3]`, RGB, 0 to 255; absent where unknown |
//! | dataset `mean_rgb` | `[3]`, 0 to 255; absent where unknown |
//! | group `training` | only in checkpoints: dataset `state` (a text) and group `optimizer` (f32 datasets) |
//!
//! Every dataset is one contiguous block with an attribute `crc32c` (u32): the CRC-32C of its bytes (little-endian), for
//! text of each string's bytes followed by a zero. The file's own structure is written in HDF5's format of version 1.10,
//! in which it carries checksums too, without times: the same weights give the same bytes.

mod parts;
mod read;
mod text;
mod verify;
mod write;

use std::path::Path;

use files::printable::hdf5_reason;
use hdf5::plist::file_access::FileAccessBuilder;
use ndarray::ArrayD;

use super::refused;
use crate::Error;

pub use parts::{Parts, TensorSource};
pub use read::load_with;
pub use write::{save_parts, save_with};

/// The version of the format that this crate writes. It reads all versions up to this one.
pub const VERSION: u32 = 1;

const FORMAT: &str = "alexnet weights";
const CRC: &str = "crc32c";
const MODEL_CRC: &str = "model_crc32c";
const EXIF_ORIENTATION: &str = "exif_orientation";

/// The part of a checkpoint beside the weights.
///
/// ```
/// use alexnet_layers::weights::Weights;
/// use alexnet_layers::weights::hdf5_file::{Extra, load_with, save_with};
///
/// # let folder = std::env::temp_dir().join(format!("alexnet-doc-extra-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("step-7.h5");
/// let extra = Extra { state: "step = 7".into(), ..Extra::default() };
/// save_with(&path, &Weights::default(), Some(&extra))?;
/// assert_eq!(load_with(&path)?.1, Some(extra));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra {
    /// The state of the run as text, at most 60,000 bytes.
    pub state: String,
    /// The optimizer's tensors by name; a name's slashes are groups in the file.
    pub tensors: Vec<(String, ArrayD<f32>)>,
}

/// Turns off HDF5's lock of a file that has only its temporary name. The lock would outlive the close while a child
/// process, started meanwhile, holds the file's descriptor, and opening the file again would fail.
fn unlocked(access: &mut FileAccessBuilder) -> &mut FileAccessBuilder {
    access.file_locking(false)
}

/// The error of a message of HDF5: the system's error of the attempt `what`, else an error of the file's content, whose
/// message begins with `prefix`. An error of the system says nothing about the file's content.
fn failure(path: &Path, what: &'static str, prefix: &str, words: &str) -> Error {
    match system_error(words) {
        Some(source) => Error::File { path: path.into(), what, source },
        None => refused(path, format!("{prefix}{}", hdf5_reason(words))),
    }
}

/// The ends of HDF5's messages for errors of the system that they do not name.
const UNNAMED: [&str; 2] = ["can't retrieve stat info for file", "unable to fstat file"];

/// The system's error in a message of HDF5, if there is one.
fn system_error(words: &str) -> Option<std::io::Error> {
    if let Some(unnamed) = UNNAMED.iter().find(|unnamed| words.ends_with(**unnamed)) {
        return Some(std::io::Error::other(*unnamed));
    }
    let (_, rest) = words.split_once("errno = ")?;
    let code = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let error = std::io::Error::from_raw_os_error(code);
    // An offset that the system finds invalid came from the file.
    (code != 0 && error.kind() != std::io::ErrorKind::InvalidInput).then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_the_systems_message() {
        let words = "H5Fflush(): unable to flush: file write failed: time = Mon\n, errno = 28, error message = \
                     'No space left on device', buf = 0x55";
        assert_eq!(hdf5_reason(words), "No space left on device");
        assert_eq!(hdf5_reason("H5Fopen(): bad\n, block"), "H5Fopen(): bad , block");
        let Error::File { source, .. } = failure(Path::new("a.h5"), "cannot be written", "", words) else {
            panic!("the system's error is lost")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
        let other = failure(Path::new("a.h5"), "cannot be written", "cannot be written: ", "bad name");
        assert_eq!(other.to_string(), "a.h5: cannot be written: bad name");
        assert!(system_error("H5Fopen(): unable to open file: unable to fstat file").is_some());
        assert!(system_error("errno = 22, error message = 'Invalid argument'").is_none());
    }
}
