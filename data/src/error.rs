//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

/// The result of packing, reading or loading.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Each variant names the file, option or record, what was expected, what came, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option is outside its range.
    #[error("{option}: expected {expected}, got {got}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its range.
        expected: String,
        /// What was given.
        got: String,
    },
    /// A folder of images is not what it should be.
    #[error("{}: {what}", path.display())]
    Source {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// The system refused to read or write a file.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, and what state it leaves.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An image cannot be used.
    #[error("{}: {reason}", path.display())]
    Image {
        /// The image's file.
        path: PathBuf,
        /// Why.
        reason: BadImage,
    },
    /// The system could not read an image while packing, which says nothing of the image: it is not left out.
    #[error(
        "{}: {name}: cannot be read: {source}; the image is not left out for that: mend the cause, or remove the file, and \
         run the same command again; finished shards are kept",
        path.display()
    )]
    Unreadable {
        /// The source.
        path: PathBuf,
        /// The image's name within the source.
        name: String,
        /// The system's reason, after some tries.
        source: std::io::Error,
    },
    /// More images were bad than allowed; all are listed.
    #[error(
        "{bad} of {total} images cannot be used, {allowed} are allowed; all are listed in {}, the first is {first}; \
         repair them, or leave them out by allowing so many, and run the same command again: only shards with repaired \
         images are packed again",
        list.display()
    )]
    TooManyBad {
        /// Images refused.
        bad: usize,
        /// Images in the source.
        total: usize,
        /// Images that may be refused.
        allowed: usize,
        /// The CSV file that lists them with reasons.
        list: PathBuf,
        /// The first of them, with its reason.
        first: String,
    },
    /// Another process packs into the same folder.
    #[error("{}: another process is packing into this folder; wait for it to end or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A folder holds (part of) a pack of something else.
    #[error("{}: holds {found}, expected {expected}; {advice}", path.display())]
    OtherPack {
        /// The folder or shard.
        path: PathBuf,
        /// What this run would write.
        expected: String,
        /// What is there.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// Packing was asked to stop; finished shards are kept.
    #[error("{}: stopped; {kept} of {total} images are kept in finished shards: run the same command again to go on", path.display())]
    Cancelled {
        /// The pack's folder.
        path: PathBuf,
        /// Images in finished shards.
        kept: usize,
        /// Images in all.
        total: usize,
    },
    /// A pack's content contradicts itself.
    #[error("{}: {what}; pack the images again", path.display())]
    Pack {
        /// The pack's file.
        path: PathBuf,
        /// The record or field, what was expected and what came.
        what: String,
    },
    /// A file of a pack is shorter than it must be.
    #[error("{}: truncated: need {need} bytes, have {have}; copy it again, or pack the images again", path.display())]
    Truncated {
        /// The pack's file.
        path: PathBuf,
        /// Its full length.
        need: u64,
        /// Its length now.
        have: u64,
    },
    /// A file of a pack was written to while the pack was open.
    #[error("{}: was changed while it was being read; begin again when nothing writes to it", path.display())]
    Changed {
        /// The pack's file.
        path: PathBuf,
    },
    /// A pack of a newer program.
    #[error("{}: written as format version {found}, this program reads up to {supported}; update the program", path.display())]
    Version {
        /// The pack's file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// Bytes differ from what was written.
    #[error("{}: checksum of {what} is {found:08x}, expected {expected:08x}: damaged; copy it again, or pack the images again", path.display())]
    Checksum {
        /// The pack's file.
        path: PathBuf,
        /// The part: the header, or a record with its source name.
        what: String,
        /// The checksum that was written.
        expected: u32,
        /// The checksum of what is there.
        found: u32,
    },
    /// The HDF5 library refused.
    #[error("{}: {what}: {reason}", path.display())]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// The library's reason.
        reason: String,
    },
    /// A thread that loads or packs panicked: a fault of the program.
    #[error("a worker thread failed: {what}")]
    Worker {
        /// The panic's message.
        what: String,
    },
    /// A file could not be written safely.
    #[error(transparent)]
    Write(#[from] tensor::Error),
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

    /// What the HDF5 library says; where the system refused, what the system says.
    pub(crate) fn hdf5(path: &Path, what: &'static str) -> impl Fn(hdf5::Error) -> Self {
        move |error| match system_error(&error.to_string()) {
            Some(error) => Self::io(path, what)(error),
            None => Self::Hdf5 { path: path.to_path_buf(), what, reason: one_line(&error) },
        }
    }

    pub(crate) fn pack(path: &Path, what: impl Into<String>) -> Self {
        Self::Pack { path: path.to_path_buf(), what: what.into() }
    }
}

fn one_line(error: &hdf5::Error) -> String {
    error.to_string().replace('\n', " ")
}

/// HDF5's words for an error of the system that they do not name: they end with one of these.
const UNNAMED: [&str; 2] = ["can't retrieve stat info for file", "unable to fstat file"];

/// The system's error behind words of the HDF5 library's, if the system refused.
pub(crate) fn system_error(words: &str) -> Option<std::io::Error> {
    if let Some(unnamed) = UNNAMED.iter().find(|unnamed| words.ends_with(**unnamed)) {
        return Some(std::io::Error::other(*unnamed));
    }
    let (_, after) = words.split_once("errno = ")?;
    let code = after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    (code != 0).then(|| std::io::Error::from_raw_os_error(code))
}

/// Why an image is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadImage {
    /// A file of no bytes.
    #[error("empty file")]
    Empty,
    /// The system cannot read the file, which says nothing of the image: packing stops, and never stores this reason.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// The content is no image: text, a web page, anything else.
    #[error("not an image: {0}")]
    NotAnImage(String),
    /// An image of a kind that this crate does not decode.
    #[error("unsupported format: {0}")]
    Unsupported(String),
    /// The header claims more pixels than the limit.
    #[error("{width} x {height} pixels are over the limit of {limit} pixels")]
    TooLarge {
        /// Pixels a row.
        width: u64,
        /// Rows.
        height: u64,
        /// The limit on their product.
        limit: u64,
    },
    /// The header claims no pixels.
    #[error("a size of {width} x {height} pixels")]
    ZeroSize {
        /// Pixels a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// A JPEG of suspiciously many scans: each costs a pass over the image.
    #[error("{scans} scans, at most {limit} are read")]
    TooManyScans {
        /// Scans found.
        scans: usize,
        /// The limit.
        limit: usize,
    },
    /// The file ends before the image does.
    #[error("cut short: {0}")]
    CutShort(String),
    /// The content breaks its format's rules.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The decoder failed on it: a fault of the decoder.
    #[error("the decoder failed: {0}")]
    DecoderPanic(String),
}

impl BadImage {
    /// Why an image of an HDF5 file cannot be had: the system refused to read, or the content is damaged.
    pub(crate) fn hdf5(error: &hdf5::Error) -> Self {
        match system_error(&error.to_string()) {
            Some(error) => Self::Unreadable(error),
            None => Self::Damaged(one_line(error)),
        }
    }
}
