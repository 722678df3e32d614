//! The errors of this crate.

use std::any::Any;
use std::path::{Path, PathBuf};

/// Result of packing, reading or loading.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Its message names the file, option or record, the expected and the actual value, and a
/// remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option is outside its range.
    #[error("{option}: expected {expected}, got {got}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Accepted range.
        expected: String,
        /// Value given.
        got: String,
    },
    /// A source of images is not usable.
    #[error("{}: {what}", path.display())]
    Source {
        /// Folder or file.
        path: PathBuf,
        /// Problem and remedy.
        what: String,
    },
    /// The operating system failed to read or write a file.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Failed operation, and the state it leaves.
        what: &'static str,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// An image is rejected.
    #[error("{}: {reason}", path.display())]
    Image {
        /// File of the image.
        path: PathBuf,
        /// Reason.
        reason: BadImage,
    },
    /// The operating system could not read an image while packing. That is no fault of the image, so it is not
    /// rejected.
    #[error(
        "{}: {name}: cannot be read: {source}; the image is not left out for that: fix the cause, or remove the file, and \
         run the same command again; finished shards are kept",
        path.display()
    )]
    Unreadable {
        /// Source of the images.
        path: PathBuf,
        /// Name of the image within the source.
        name: String,
        /// Error of the operating system, after several attempts.
        source: std::io::Error,
    },
    /// More images were rejected than allowed.
    #[error(
        "{bad} of {total} images cannot be used, {allowed} are allowed; all are listed in {}, the first is {first}; \
         repair them, or allow that many rejected images, and run the same command again: only shards with repaired \
         images are packed again",
        list.display()
    )]
    TooManyBad {
        /// Number of rejected images.
        bad: usize,
        /// Number of images in the source.
        total: usize,
        /// Number of images that may be rejected.
        allowed: usize,
        /// CSV file listing all rejected images with reasons.
        list: PathBuf,
        /// First rejected image, with its reason.
        first: String,
    },
    /// Another process is packing into the same folder.
    #[error("{}: another process is packing into this folder; wait for it to end or choose another folder", path.display())]
    Locked {
        /// Folder of the pack.
        path: PathBuf,
    },
    /// The output folder holds (part of) a different pack.
    #[error("{}: holds {found}, expected {expected}; {advice}", path.display())]
    OtherPack {
        /// Folder or shard.
        path: PathBuf,
        /// Contents this run would write.
        expected: String,
        /// Contents found.
        found: String,
        /// Remedy.
        advice: &'static str,
    },
    /// Packing was cancelled; finished shards are kept.
    #[error("{}: stopped; {kept} of {total} images are kept in finished shards: run the same command again to continue", path.display())]
    Cancelled {
        /// Folder of the pack.
        path: PathBuf,
        /// Number of images in finished shards.
        kept: usize,
        /// Number of images in total.
        total: usize,
    },
    /// The contents of a pack are inconsistent.
    #[error("{}: {what}; pack the images again", path.display())]
    Pack {
        /// File of the pack.
        path: PathBuf,
        /// Record or field, with the expected and the actual value.
        what: String,
    },
    /// A file of a pack is truncated.
    #[error("{}: truncated: need {need} bytes, have {have}; copy it again, or pack the images again", path.display())]
    Truncated {
        /// File of the pack.
        path: PathBuf,
        /// Expected length in bytes.
        need: u64,
        /// Actual length in bytes.
        have: u64,
    },
    /// A file of a pack was modified while the pack was open.
    #[error("{}: was changed while it was being read; start again when nothing writes to it", path.display())]
    Changed {
        /// File of the pack.
        path: PathBuf,
    },
    /// The pack was written by a newer version of this program.
    #[error("{}: written as format version {found}, this program reads up to {supported}; update the program", path.display())]
    Version {
        /// File of the pack.
        path: PathBuf,
        /// Format version of the file.
        found: u32,
        /// Newest format version this program reads.
        supported: u32,
    },
    /// A checksum does not match.
    #[error("{}: checksum of {what} is {found:08x}, expected {expected:08x}: damaged; copy it again, or pack the images again", path.display())]
    Checksum {
        /// File of the pack.
        path: PathBuf,
        /// Part of the file: the header, or a record with its source name.
        what: String,
        /// Stored checksum.
        expected: u32,
        /// Computed checksum.
        found: u32,
    },
    /// The HDF5 library reported an error.
    #[error("{}: {what}: {reason}", path.display())]
    Hdf5 {
        /// File.
        path: PathBuf,
        /// Failed operation.
        what: &'static str,
        /// Error message of the library.
        reason: String,
    },
    /// A loading or packing thread panicked, which is a bug.
    #[error("a worker thread failed: {what}")]
    Worker {
        /// Panic message.
        what: String,
    },
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        Self::Io { path: error.path, what: error.what, source: error.source }
    }
}

impl Error {
    pub(crate) fn option(option: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Option { option, expected: expected.into(), got: got.to_string() }
    }

    pub(crate) fn source(path: &Path, what: impl Into<String>) -> Self {
        Self::Source { path: path.to_path_buf(), what: what.into() }
    }

    pub(crate) fn io(path: &Path, what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_path_buf(), what, source }
    }

    /// Converts an HDF5 error, preferring the error of the operating system that caused it.
    #[cfg(feature = "hdf5")]
    pub(crate) fn hdf5(path: &Path, what: &'static str) -> impl Fn(hdf5::Error) -> Self {
        move |error| match system_error(&error.to_string()) {
            Some(error) => Self::io(path, what)(error),
            None => Self::Hdf5 { path: path.to_path_buf(), what, reason: one_line(&error) },
        }
    }

    /// A panic of a worker thread.
    pub(crate) fn worker_panic(panic: &(dyn Any + Send)) -> Self {
        Self::Worker { what: panic_message(panic) }
    }

    pub(crate) fn pack(path: &Path, what: impl Into<String>) -> Self {
        Self::Pack { path: path.to_path_buf(), what: what.into() }
    }
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_string(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_string(),
    }
}

#[cfg(feature = "hdf5")]
fn one_line(error: &hdf5::Error) -> String {
    error.to_string().replace('\n', " ")
}

/// Ends of HDF5 messages about system errors whose code the library does not report.
const MESSAGES_WITHOUT_CODE: [&str; 2] = ["can't retrieve stat info for file", "unable to fstat file"];

/// The system error behind a message of the HDF5 library, if there is one.
pub(crate) fn system_error(message: &str) -> Option<std::io::Error> {
    if let Some(ending) = MESSAGES_WITHOUT_CODE.iter().find(|ending| message.ends_with(**ending)) {
        return Some(std::io::Error::other(*ending));
    }
    let (_, after) = message.split_once("errno = ")?;
    let code = after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    (code != 0).then(|| std::io::Error::from_raw_os_error(code))
}

/// Reason why an image is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadImage {
    /// The file is empty.
    #[error("empty file")]
    Empty,
    /// The operating system cannot read the file. That is no fault of the image: packing stops, and this reason is
    /// never stored.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// The content is not an image but text, a web page or anything else.
    #[error("not an image: {0}")]
    NotAnImage(String),
    /// The image format is not supported.
    #[error("unsupported format: {0}")]
    Unsupported(String),
    /// The header claims more pixels than allowed.
    #[error("{width} x {height} pixels are over the limit of {limit} pixels")]
    TooLarge {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// Maximum number of pixels.
        limit: u64,
    },
    /// The header claims a width or height of zero.
    #[error("a size of {width} x {height} pixels")]
    ZeroSize {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
    },
    /// The JPEG has suspiciously many scans, each of which costs a pass over the image.
    #[error("{scans} scans, at most {limit} are read")]
    TooManyScans {
        /// Number of scans.
        scans: usize,
        /// Maximum number of scans.
        limit: usize,
    },
    /// The file ends before the image does.
    #[error("cut short: {0}")]
    CutShort(String),
    /// The content violates its format.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The decoder panicked, which is a bug of the decoder.
    #[error("the decoder failed: {0}")]
    DecoderPanic(String),
}

impl BadImage {
    /// Reason why an image of an HDF5 file cannot be read: an error of the system, or damage.
    #[cfg(feature = "hdf5")]
    pub(crate) fn hdf5(error: &hdf5::Error) -> Self {
        match system_error(&error.to_string()) {
            Some(error) => Self::Unreadable(error),
            None => Self::Damaged(one_line(error)),
        }
    }
}
