//! The form since PyTorch 1.6: a zip of a pickle, `data.pkl`, and one record for each storage, `data/KEY`.

use std::fs::File;
use std::io::{BufReader, Read};

use zip::{ZipArchive, ZipReadOptions};

use super::pickle::{Pickle, Source, StorageRef, unpickle};
use super::storages::{Storages, byte_count};
use crate::budget;
use crate::error::Fault;

/// The record with the pickle, in a folder of any name or in none.
const PICKLE: &str = "data.pkl";

/// The longest pickle, in bytes. It names tensors and holds none.
const MAX_PICKLE: u64 = 64 << 20;

/// An open file.
pub struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// The length of the file in bytes.
    length: u64,
    /// The folder of the records, with its slash; empty if they are in none.
    folder: String,
    is_big_endian: bool,
    has_checksums: bool,
}

impl Archive {
    /// Opens a file of `length` bytes.
    pub fn open(file: File, length: u64) -> Result<Self, Fault> {
        let zip = ZipArchive::new(BufReader::new(file))?;
        let folder = folder(&zip)?;
        let mut archive = Self { zip, length, folder, is_big_endian: false, has_checksums: true };
        archive.has_checksums = archive.pickles_checksum()? != 0;
        if archive.has("constants.pkl") {
            let what = "is TorchScript, whose code would have to run; in Python: torch.save(torch.jit.load(FILE).\
                        state_dict(), \"state.pt\"), then give state.pt";
            return Err(what.into());
        }
        if let Some(order) = archive.optional_record("byteorder", 16)? {
            archive.is_big_endian = match order.trim_ascii() {
                b"little" => false,
                b"big" => true,
                _ => return Err("has an order of bytes that is neither little nor big; it is damaged".into()),
            };
        }
        Ok(archive)
    }

    /// The checksum of the pickle. `torch.serialization.set_crc32_options(False)` leaves all checksums 0.
    fn pickles_checksum(&mut self) -> Result<u32, Fault> {
        Ok(self.zip.by_name(&format!("{}{PICKLE}", self.folder))?.crc32())
    }

    /// The values of the pickle.
    pub fn pickle(&mut self) -> Result<Pickle, Fault> {
        let bytes = self.record(PICKLE, MAX_PICKLE)?;
        unpickle(Source::new(&mut bytes.as_slice(), bytes.len() as u64))
    }

    /// A record if it is there; at most `most` bytes.
    pub fn optional_record(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>, Fault> {
        if self.has(name) { self.record(name, most).map(Some) } else { Ok(None) }
    }

    fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{}{name}", self.folder)).is_some()
    }

    /// A record of at most `most` bytes, and of no more than the file's length justifies.
    fn record(&mut self, name: &str, most: u64) -> Result<Vec<u8>, Fault> {
        let most = most.min(budget::of(self.length));
        let index = self.zip.index_for_name(&format!("{}{name}", self.folder));
        let index = index.ok_or_else(|| format!("has no record {name}; get it again"))?;
        let options = ZipReadOptions::new().ignore_crc32(!self.has_checksums);
        let entry = self.zip.by_index_with_options(index, options)?;
        let size = entry.size();
        if size > most {
            let length = self.length;
            let what = format!(
                "has a record {name} of {size} bytes in a file of {length}, where at most {most} are read; it is \
                 damaged or a bomb"
            );
            return Err(what.into());
        }
        let mut bytes = Vec::with_capacity(size as usize);
        // One byte more than there should be: only at its end is the record compared with its checksum.
        entry.take(size + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            let what = format!("has a record {name} of {} bytes that should be of {size}; get it again", bytes.len());
            return Err(what.into());
        }
        Ok(bytes)
    }
}

impl Storages for Archive {
    fn read(&mut self, storage: &StorageRef) -> Result<Vec<u8>, Fault> {
        let needed = byte_count(storage)?;
        let name = format!("data/{}", storage.key);
        let bytes = self.record(&name, u64::MAX)?;
        if (bytes.len() as u64) < needed {
            let have = bytes.len();
            return Err(format!("has a record {name} of {have} bytes where {needed} are needed; get it again").into());
        }
        Ok(bytes)
    }

    fn is_big_endian(&self) -> bool {
        self.is_big_endian
    }
}

/// The folder of the pickle.
fn folder(zip: &ZipArchive<BufReader<File>>) -> Result<String, Fault> {
    let mut folders = zip.file_names().filter_map(|name| match name.strip_suffix(PICKLE) {
        Some("") => Some(String::new()),
        Some(folder) => (folder.ends_with('/') && folder.matches('/').count() == 1).then(|| folder.to_string()),
        None => None,
    });
    match (folders.next(), folders.next()) {
        (Some(folder), None) => Ok(folder),
        (None, _) => Err("is a zip file without data.pkl, which PyTorch's have; get it again".into()),
        _ => Err("is a zip file with more than one data.pkl; save one state dict a file".into()),
    }
}

/// Whether a zip file is one of PyTorch by the names of its records.
pub fn is_archive<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| name == PICKLE || name.strip_suffix(PICKLE).is_some_and(|folder| folder.ends_with('/')))
}
