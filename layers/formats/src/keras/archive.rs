//! `.keras` files: a zip of `metadata.json`, `config.json` and `model.weights.h5`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use files::regular_file;
use serde_json::Value;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{MEAN_IMAGE, OWN_METADATA};
use crate::hdf5_tree::Source;
use crate::{Error, Result};

/// The largest configuration, bytes: those of hundreds of layers have less.
pub(super) const LARGEST_CONFIG: u64 = 4 << 20;
/// The length that a configuration may have in any file.
const LEAST_CONFIG: u64 = 1 << 18;
/// The most that compressed weights may grow, beyond the least that always may.
const MAX_COMPRESSION: u64 = 100;
const LEAST: u64 = 1 << 26;

const METADATA: &str = "metadata.json";
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.weights.h5";

/// The parts of an archive.
pub(super) struct Archive {
    /// The network's configuration.
    pub config: Value,
    /// The entry of this workspace in the metadata, if it wrote the archive.
    pub own: Option<Value>,
    /// The bytes of the mean image, if this workspace wrote one.
    pub mean_image: Vec<u8>,
    /// The weights.
    pub weights: Source,
}

impl Archive {
    pub fn open(path: &Path) -> Result<Self> {
        let mut archive = open(path)?;
        let config = json(path, CONFIG, &mut archive)?;
        let metadata = json(path, METADATA, &mut archive)?;
        let mean_image = mean_image(path, &mut archive)?;
        let weights = weights(path, &mut archive)?;
        Ok(Self { config, own: metadata.get(OWN_METADATA).cloned(), mean_image, weights })
    }
}

fn open(path: &Path) -> Result<ZipArchive<File>> {
    let file = regular_file::open(path).map_err(Error::file(path))?;
    ZipArchive::new(file).map_err(|error| damaged(path, error))
}

fn damaged(path: &Path, error: ZipError) -> Error {
    match error {
        ZipError::Io(source) if source.raw_os_error().is_some() => Error::File { path: path.into(), source },
        error => Error::refused(path, format!("its zip archive is damaged ({error}); use another copy")),
    }
}

fn json(path: &Path, part: &str, archive: &mut ZipArchive<File>) -> Result<Value> {
    let mut text = Vec::new();
    let length = path.metadata().map_err(Error::file(path))?.len();
    let entry = archive.by_name(part).map_err(|error| no_part(path, part, error))?;
    // A compressed one could be a thousand times as long as the file, and takes many times its length once it is read.
    let most = (LEAST_CONFIG + length).min(LARGEST_CONFIG);
    let read = entry.take(most + 1).read_to_end(&mut text);
    read.map_err(|error| damaged(path, ZipError::Io(error)))?;
    if text.len() as u64 > most {
        return Err(Error::refused(path, format!("{part} has more than {most} bytes; it is no network's")));
    }
    parse_config(path, &text)
}

/// The mean image, which is stored uncompressed and so no larger than the file.
fn mean_image(path: &Path, archive: &mut ZipArchive<File>) -> Result<Vec<u8>> {
    let Ok(entry) = archive.by_name(MEAN_IMAGE) else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    let length = entry.compressed_size();
    let read = entry.take(length).read_to_end(&mut bytes);
    read.map_err(|error| damaged(path, ZipError::Io(error)))?;
    Ok(bytes)
}

/// A configuration's JSON.
pub(super) fn parse_config(path: &Path, text: &[u8]) -> Result<Value> {
    if text.len() as u64 > LARGEST_CONFIG {
        let what = format!("its configuration has more than {} MiB; it is no network's", LARGEST_CONFIG >> 20);
        return Err(Error::refused(path, what));
    }
    serde_json::from_slice(text)
        .map_err(|error| Error::refused(path, format!("its configuration is not JSON ({error}); use another copy")))
}

fn no_part(path: &Path, part: &str, error: ZipError) -> Error {
    match error {
        ZipError::FileNotFound => {
            Error::refused(path, format!("a zip archive without {part}; expected one of Keras 3 (model.save)"))
        }
        error => damaged(path, error),
    }
}

/// The weights: in their place if they are stored, else unpacked into a file without a name.
fn weights(path: &Path, archive: &mut ZipArchive<File>) -> Result<Source> {
    let mut entry = archive.by_name(WEIGHTS).map_err(|error| no_part(path, WEIGHTS, error))?;
    let length = entry.size();
    if entry.compression() == CompressionMethod::Stored && !entry.encrypted() {
        let start = entry.data_start();
        // The archive's checksum is the only one that the weights have.
        std::io::copy(&mut entry, &mut std::io::sink()).map_err(|error| damaged(path, ZipError::Io(error)))?;
        let file = regular_file::open(path).map_err(Error::file(path))?;
        let end = file.metadata().map_err(Error::file(path))?.len();
        return match start.and_then(|start| start.checked_add(length).filter(|last| *last <= end).map(|_| start)) {
            Some(start) => Ok(Source::new(file, start, length)),
            None => Err(Error::refused(path, format!("truncated: {WEIGHTS} of {length} bytes leaves the file"))),
        };
    }
    if length > LEAST && length / MAX_COMPRESSION > entry.compressed_size() {
        let what = format!("{WEIGHTS} would grow {MAX_COMPRESSION} times and more; unpack it, and name that file");
        return Err(Error::refused(path, what));
    }
    let mut file = tempfile::tempfile().map_err(Error::file(path))?;
    let copied = copy(&mut entry, &mut file, length).map_err(|error| damaged(path, ZipError::Io(error)))?;
    if copied != length {
        return Err(Error::refused(path, format!("{WEIGHTS} is not as long as the archive says; use another copy")));
    }
    file.seek(SeekFrom::Start(0)).map_err(Error::file(path))?;
    Ok(Source::new(file, 0, length))
}

/// Copies at most one byte more than `length`.
fn copy(from: &mut impl Read, to: &mut impl Write, length: u64) -> std::io::Result<u64> {
    std::io::copy(&mut from.take(length.saturating_add(1)), to)
}
