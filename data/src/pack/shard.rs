//! Writing a shard, and loading shards of earlier runs.
//!
//! Images are streamed by ordinary writes to the offset where HDF5 expects them, so memory use stays constant and a
//! full disk is an ordinary error. Once their number is known, the library writes the same file without images, a
//! sparse file of a few pages, and the bytes around the images are copied from it.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use files::TemporaryFile;

use super::encode::Encoded;
use super::plan::{OTHER_FOLDER, PackPlan, ShardFormat};
use super::rejected::Rejected;
use crate::error::{BadImage, Error, Result};
use crate::format::{FileHeader, FileKind, HEADER_BYTES, Storage, checksum_of_content};
use crate::hdf5_io::{Hdf5Reader, Hdf5Writer, IntendedContents, WRITE_FAILED, read_back_mismatch};
use crate::source::{NameList, SampleList};
use crate::statistics::Sums;

/// Contents of a finished shard, except its images.
#[derive(Debug)]
pub(super) struct FinishedShard {
    pub labels: Vec<u32>,
    pub checksums: Vec<u32>,
    pub rejected: Vec<Rejected>,
    pub sums: Sums,
    /// File size in bytes.
    pub length: u64,
    /// Checksum of everything except the header and the images.
    pub content_checksum: u32,
}

/// Writer of one shard.
pub(super) struct ShardWriter {
    format: ShardFormat,
    number: usize,
    /// Final path of the shard, for messages.
    path: PathBuf,
    /// Path of the shard until it is complete.
    temporary: PathBuf,
    file: BufWriter<File>,
    /// Second handle on the file, to read back the images.
    read_back: File,
    /// Number of images that were read back and verified.
    verified_images: usize,
    /// File offset of the first image.
    start: u64,
    /// Offsets of the images relative to `start`, ending with their total length.
    offsets: Vec<u64>,
    names: NameList,
    shard: FinishedShard,
}

/// Bytes of images read back at once, while others are decoded.
const READ_BACK_BYTES: u64 = 8 << 20;
/// Message of a failed read-back.
const READ_BACK_FAILED: &str = "cannot be read back; run the same command again";

/// A shard file without its images.
struct ShardTemplate {
    file: TemporaryFile,
    /// File offset of the images.
    start: Option<u64>,
    /// Intended contents besides the images.
    expected_contents: IntendedContents,
}

impl ShardWriter {
    /// Starts shard `number` in the empty file `temporary`.
    pub fn create(format: &ShardFormat, number: usize, temporary: &Path) -> Result<Self> {
        let path = format.path(number);
        let shard = FinishedShard::empty(format.size);
        let open = File::options().write(true).open(temporary).map_err(Error::io(&path, WRITE_FAILED))?;
        let file = BufWriter::with_capacity(1 << 20, open);
        let read_back = File::open(temporary).map_err(Error::io(&path, READ_BACK_FAILED))?;
        let mut writer = Self {
            format: format.clone(),
            number,
            path,
            temporary: temporary.to_path_buf(),
            file,
            read_back,
            verified_images: 0,
            start: 0,
            offsets: vec![0],
            names: NameList::default(),
            shard,
        };
        // The offset depends neither on the number of images nor on texts, because everything else follows them.
        let start = writer.write_template(1, "")?.start;
        writer.start = start.ok_or_else(|| Error::pack(&writer.path, "HDF5 reserves no space"))?;
        let start = writer.start;
        writer.file.seek(SeekFrom::Start(start)).map_err(Error::io(&writer.path, WRITE_FAILED))?;
        Ok(writer)
    }

    /// Adds an image, or the reason for its rejection. Returns the bytes written.
    pub fn push(&mut self, name: &[u8], label: u32, result: Result<Encoded, BadImage>) -> Result<u64> {
        let image = match result {
            Ok(image) => image,
            Err(reason) => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.shard.rejected.push(Rejected { name, reason: reason.to_string() });
                return Ok(0);
            }
        };
        self.file.write_all(&image.stored).map_err(Error::io(&self.path, WRITE_FAILED))?;
        self.offsets.push(self.image_bytes() + image.stored.len() as u64);
        self.names.push(name);
        self.shard.labels.push(label);
        self.shard.checksums.push(image.checksum);
        self.shard.sums.add(image.pixels(), &image.colour_products);
        if self.image_bytes() - self.offsets[self.verified_images] >= READ_BACK_BYTES {
            self.verify_images()?;
        }
        Ok(image.stored.len() as u64)
    }

    /// Writes everything around the images, then reads the whole file back to verify it. `fingerprint` is that of the
    /// shard's part of the source.
    pub fn finish(mut self, fingerprint: &str) -> Result<FinishedShard> {
        let count = match self.format.storage {
            Storage::Raw => self.shard.labels.len(),
            Storage::Jpeg { .. } => self.image_bytes() as usize,
        };
        let ShardTemplate { file: template, start, expected_contents } = self.write_template(count, fingerprint)?;
        let images = start.map_or(0..0, |start| start..start + self.image_bytes());
        if start.is_some_and(|start| start != self.start) {
            return Err(Error::pack(&self.path, "this HDF5 library lays files out in an unexpected way"));
        }
        let fail = || Error::io(&self.path, WRITE_FAILED);
        let mut file = File::open(template.path()).map_err(fail())?;
        self.shard.length = file.metadata().map_err(fail())?.len();
        let mut head = Vec::new();
        let mut tail = Vec::new();
        let before = if images.is_empty() { self.shard.length } else { images.start };
        (&mut file).take(before).read_to_end(&mut head).map_err(fail())?;
        file.seek(SeekFrom::Start(images.end.max(before))).map_err(fail())?;
        file.read_to_end(&mut tail).map_err(fail())?;

        let around = [head.as_slice(), &tail].concat();
        self.shard.content_checksum = checksum_of_content(&around, &(0..0));
        let header = FileHeader {
            kind: FileKind::Shard,
            length: self.shard.length,
            images: images.clone(),
            content_checksum: self.shard.content_checksum,
        };
        head[..HEADER_BYTES].copy_from_slice(&header.encode());
        let end = header.images.end.max(before);
        let write = |out: &mut BufWriter<File>| {
            out.seek(SeekFrom::Start(0))?;
            out.write_all(&head)?;
            out.seek(SeekFrom::Start(end))?;
            out.write_all(&tail)?;
            out.flush()
        };
        write(&mut self.file).map_err(fail())?;
        self.verify_images()?;
        expected_contents.verify(&self.temporary)?;
        self.verify_header(&images)?;
        Ok(self.shard)
    }

    /// Checks that the file has the intended header.
    fn verify_header(&self, images: &Range<u64>) -> Result<()> {
        let (header, _) = crate::reader::open_checked(&self.temporary, FileKind::Shard)
            .map_err(|error| read_back_mismatch(&self.path, error))?;
        if header.content_checksum != self.shard.content_checksum || header.images != *images {
            return Err(read_back_mismatch(&self.path, "its first block holds other values"));
        }
        Ok(())
    }

    /// Checks the latest images against the checksums computed in memory.
    fn verify_images(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io(&self.path, WRITE_FAILED))?;
        let fail = || Error::io(&self.path, READ_BACK_FAILED);
        self.read_back.seek(SeekFrom::Start(self.start + self.offsets[self.verified_images])).map_err(fail())?;
        let mut image = Vec::new();
        for (record, &expected) in self.shard.checksums.iter().enumerate().skip(self.verified_images) {
            image.resize((self.offsets[record + 1] - self.offsets[record]) as usize, 0);
            self.read_back.read_exact(&mut image).map_err(fail())?;
            if crc32c::crc32c(&image) != expected {
                return Err(read_back_mismatch(&self.path, format!("record {record} holds other bytes")));
            }
        }
        self.verified_images = self.shard.checksums.len();
        Ok(())
    }

    /// Total size of the images so far in bytes.
    fn image_bytes(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Writes the shard with HDF5, leaving a hole for the images. `count` is in images for raw storage, in bytes for
    /// JPEG.
    fn write_template(&self, count: usize, fingerprint: &str) -> Result<ShardTemplate> {
        let temporary = TemporaryFile::create(&self.format.folder).map_err(Error::io(&self.path, WRITE_FAILED))?;
        let file = Hdf5Writer::create(temporary.path(), &self.path)?;
        let size = self.format.size;
        let shape: &[usize] = match self.format.storage {
            Storage::Raw => &[count, size, size, 3],
            Storage::Jpeg { .. } => &[count],
        };
        // Reserved first, so that its offset does not depend on the other datasets.
        let start = file.reserve("images", shape)?;
        self.write_tables(&file, fingerprint)?;
        let expected_contents = file.close()?;
        Ok(ShardTemplate { file: temporary, start, expected_contents })
    }

    fn write_tables(&self, file: &Hdf5Writer, fingerprint: &str) -> Result<()> {
        let n = self.shard.labels.len();
        let size = self.format.size;
        if let Storage::Jpeg { .. } = self.format.storage {
            file.write_dataset("offsets", &[n + 1], &self.offsets)?;
        }
        file.write_dataset("labels", &[n], &self.shard.labels)?;
        file.write_dataset("crc32c", &[n], &self.shard.checksums)?;
        file.write_dataset("names", &[self.names.bytes().len()], self.names.bytes())?;
        file.write_dataset("name_offsets", &[n + 1], &self.names.offsets())?;
        file.write_dataset("place_sums", &[size, size, 3], &self.shard.sums.position_sums())?;
        file.write_attribute("product_sums", &[6], self.shard.sums.products())?;
        let rejected: Vec<[&str; 2]> =
            self.shard.rejected.iter().map(|r| [r.name.as_str(), r.reason.as_str()]).collect();
        let rejected = serde_json::to_vec(&rejected).map_err(|e| Error::pack(&self.path, e.to_string()))?;
        file.write_dataset("bad", &[rejected.len()], &rejected)?;
        file.write_number("shard", self.number as u64)?;
        file.write_text("source", fingerprint)?;
        file.write_text("settings", &self.format.settings)
    }
}

impl FinishedShard {
    fn empty(size: usize) -> Self {
        Self {
            labels: Vec::new(),
            checksums: Vec::new(),
            rejected: Vec::new(),
            sums: Sums::new(size),
            length: 0,
            content_checksum: 0,
        }
    }

    /// Loads shard `number` of an earlier run; `None` if it is missing.
    ///
    /// # Errors
    /// [`Error::OtherPack`] if the shard has another source or other settings; the errors of a damaged file. A shard of
    /// the same files, some of which changed since, counts as missing.
    pub fn load(plan: &PackPlan, samples: &SampleList, number: usize) -> Result<Option<Self>> {
        let Some(StoredShard { path, file, source, shard }) = StoredShard::read(&plan.format, number)? else {
            return Ok(None);
        };
        if !plan.is_source_of(number, &source) {
            let names = record_names(&file, shard.labels.len())?;
            let stored = names.iter().map(Vec::as_slice).zip(shard.labels.iter().copied()).collect();
            return if same_files(samples, plan.range(number), stored, &shard.rejected) {
                Ok(None)
            } else {
                Err(plan.other_source(&path, &source, OTHER_FOLDER))
            };
        }
        let found: u64 = file.read_number("shard")?;
        let records = plan.range(number).len();
        if found != number as u64 || shard.files() != records {
            let what = format!("is shard {found} of {} files, expected shard {number} of {records}", shard.files());
            return Err(Error::pack(&path, what));
        }
        Ok(Some(shard))
    }

    /// Number of files of the source, including rejected ones.
    pub fn files(&self) -> usize {
        self.labels.len() + self.rejected.len()
    }
}

/// A shard of an earlier run, whatever its source.
pub(super) struct StoredShard {
    path: PathBuf,
    file: Hdf5Reader,
    /// Fingerprint of its part of the source.
    pub source: String,
    pub shard: FinishedShard,
}

impl StoredShard {
    /// Reads shard `number`; `None` if it is missing.
    ///
    /// # Errors
    /// [`Error::OtherPack`] if it has other settings; the errors of a damaged file.
    pub fn read(format: &ShardFormat, number: usize) -> Result<Option<Self>> {
        let path = format.path(number);
        if !path.try_exists().map_err(Error::io(&path, "cannot be read"))? {
            return Ok(None);
        }
        let (header, _map) = crate::reader::open_checked(&path, FileKind::Shard)?;
        let file = Hdf5Reader::open(&path)?;
        let source = file.read_text("source")?;
        format.check_settings(&path, &file.read_text("settings")?)?;
        let labels: Vec<u32> = file.read_vector("labels")?;
        let rejected: Vec<u8> = file.read_vector("bad")?;
        let rejected: Vec<[String; 2]> =
            serde_json::from_slice(&rejected).map_err(|e| Error::pack(&path, format!("dataset \"bad\": {e}")))?;
        let position_sums = file.read("place_sums", &[format.size, format.size, 3])?;
        let products = file.read_attribute("product_sums")?;
        let shard = FinishedShard {
            checksums: file.read("crc32c", &[labels.len()])?,
            sums: Sums::from_parts(labels.len() as u64, position_sums, products),
            labels,
            rejected: rejected.into_iter().map(|[name, reason]| Rejected { name, reason }).collect(),
            length: header.length,
            content_checksum: header.content_checksum,
        };
        Ok(Some(Self { path, file, source, shard }))
    }
}

/// Names of a shard's images.
fn record_names(file: &Hdf5Reader, count: usize) -> Result<Vec<Vec<u8>>> {
    let bytes: Vec<u8> = file.read_vector("names")?;
    let offsets: Vec<u64> = file.read("name_offsets", &[count + 1])?;
    let name = |ends: &[u64]| bytes.get(ends[0] as usize..ends[1] as usize).unwrap_or_default().to_vec();
    Ok(offsets.windows(2).map(name).collect())
}

/// Whether a shard's stored and rejected images have, in order, the names and labels of `range` of the source.
fn same_files(source: &SampleList, range: Range<usize>, stored: Vec<(&[u8], u32)>, rejected: &[Rejected]) -> bool {
    let mut stored = stored.into_iter().peekable();
    let mut rejected = rejected.iter().peekable();
    for index in range {
        let name = source.name(index);
        let is_stored = stored.next_if(|&(stored, label)| stored == name && label == source.label(index)).is_some();
        let is_known =
            is_stored || rejected.next_if(|rejected| rejected.name == String::from_utf8_lossy(name)).is_some();
        if !is_known {
            return false;
        }
    }
    stored.next().is_none() && rejected.next().is_none()
}
