//! Writing one shard, and reading back what an earlier run wrote.
//!
//! The images are streamed to the place where HDF5 will want them, by ordinary writes: memory stays flat, and a full
//! disk is an ordinary error. When their number is known, the library writes the same file without the images, a
//! sparse one of a few pages, and what it wrote around them is copied.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::bad::Refused;
use super::encode::Encoded;
use super::plan::{OTHER_FOLDER, Plan};
use crate::error::{BadImage, Error, Result};
use crate::format::{BLOCK, Block, Role, Storage, content_checksum};
use crate::hdf::{Intended, Reader, WRITING, Writer, unlike};
use crate::source::{Catalogue, Names};
use crate::statistics::Sums;

/// What is known of a finished shard.
#[derive(Debug)]
pub(super) struct Shard {
    pub labels: Vec<u32>,
    pub checksums: Vec<u32>,
    pub refused: Vec<Refused>,
    pub sums: Sums,
    /// Bytes of the file.
    pub length: u64,
    /// Checksum of all but the images.
    pub content: u32,
}

/// Fills one shard.
pub(super) struct ShardWriter<'a> {
    plan: &'a Plan,
    number: usize,
    /// The shard's name, for messages.
    path: PathBuf,
    /// The name that it has until it is complete.
    temporary: PathBuf,
    file: BufWriter<File>,
    /// The same file, to read back what was written.
    written: File,
    /// Images that were read back and found right.
    verified: usize,
    /// Where the images begin.
    start: u64,
    /// Where each image begins, from `start`.
    offsets: Vec<u64>,
    names: Names,
    shard: Shard,
}

/// Bytes of images that are read back at once, while others are decoded.
const READ_BACK: u64 = 8 << 20;
/// What a failed reading back means for a pack.
const READING_BACK: &str = "cannot be read back; run the same command again";

/// A shard without its images.
struct Skeleton {
    file: tempfile::TempPath,
    /// Where the images belong.
    start: Option<u64>,
    /// What it should hold beside them.
    intended: Intended,
}

impl<'a> ShardWriter<'a> {
    /// Begins shard `number` in the empty file `temporary`.
    pub fn create(plan: &'a Plan, number: usize, temporary: &Path) -> Result<Self> {
        let path = plan.path(number);
        let shard = Shard::empty(plan);
        let open = File::options().write(true).open(temporary).map_err(Error::io(&path, WRITING))?;
        let file = BufWriter::with_capacity(1 << 20, open);
        let written = File::open(temporary).map_err(Error::io(&path, READING_BACK))?;
        let mut writer = Self {
            plan,
            number,
            path,
            temporary: temporary.to_path_buf(),
            file,
            written,
            verified: 0,
            start: 0,
            offsets: vec![0],
            names: Names::default(),
            shard,
        };
        // The place does not depend on the number of images: all else comes after them.
        let start = writer.skeleton(1)?.start;
        writer.start = start.ok_or_else(|| Error::pack(&writer.path, "HDF5 reserves no space"))?;
        let start = writer.start;
        writer.file.seek(SeekFrom::Start(start)).map_err(Error::io(&writer.path, WRITING))?;
        Ok(writer)
    }

    /// Adds an image or the reason why there is none. Returns the bytes written.
    pub fn push(&mut self, source: &Catalogue, index: usize, result: Result<Encoded, BadImage>) -> Result<u64> {
        let image = match result {
            Ok(image) => image,
            Err(reason) => {
                let name = String::from_utf8_lossy(source.name(index)).into_owned();
                self.shard.refused.push(Refused { name, reason: reason.to_string() });
                return Ok(0);
            }
        };
        self.file.write_all(&image.stored).map_err(Error::io(&self.path, WRITING))?;
        self.offsets.push(self.bytes() + image.stored.len() as u64);
        self.names.push(source.name(index));
        self.shard.labels.push(source.label(index));
        self.shard.checksums.push(image.checksum);
        self.shard.sums.add(image.pixels(), &image.products);
        if self.bytes() - self.offsets[self.verified] >= READ_BACK {
            self.verify_images()?;
        }
        Ok(image.stored.len() as u64)
    }

    /// Writes everything around the images, and reads the whole file back to compare it with what is in memory.
    pub fn finish(mut self) -> Result<Shard> {
        let count = match self.plan.storage {
            Storage::Raw => self.shard.labels.len(),
            Storage::Jpeg { .. } => self.bytes() as usize,
        };
        let Skeleton { file: skeleton, start, intended } = self.skeleton(count)?;
        let images = start.map_or(0..0, |start| start..start + self.bytes());
        if start.is_some_and(|start| start != self.start) {
            return Err(Error::pack(&self.path, "this HDF5 library lays files out in an unexpected way"));
        }
        let fail = || Error::io(&self.path, WRITING);
        let mut file = File::open(&skeleton).map_err(fail())?;
        self.shard.length = file.metadata().map_err(fail())?.len();
        let mut head = Vec::new();
        let mut tail = Vec::new();
        let before = if images.is_empty() { self.shard.length } else { images.start };
        (&mut file).take(before).read_to_end(&mut head).map_err(fail())?;
        file.seek(SeekFrom::Start(images.end.max(before))).map_err(fail())?;
        file.read_to_end(&mut tail).map_err(fail())?;

        let around = [head.as_slice(), &tail].concat();
        self.shard.content = content_checksum(&around, &(0..0));
        let block =
            Block { role: Role::Shard, length: self.shard.length, images: images.clone(), content: self.shard.content };
        head[..BLOCK].copy_from_slice(&block.encode());
        let end = block.images.end.max(before);
        let write = |out: &mut BufWriter<File>| {
            out.seek(SeekFrom::Start(0))?;
            out.write_all(&head)?;
            out.seek(SeekFrom::Start(end))?;
            out.write_all(&tail)?;
            out.flush()
        };
        write(&mut self.file).map_err(fail())?;
        self.verify_images()?;
        intended.verify(&self.temporary)?;
        self.verify_block(&images)?;
        Ok(self.shard)
    }

    /// Fails unless the file has its block.
    fn verify_block(&self, images: &Range<u64>) -> Result<()> {
        let (block, _) =
            crate::reader::open_checked(&self.temporary, Role::Shard).map_err(|error| unlike(&self.path, error))?;
        if block.content != self.shard.content || block.images != *images {
            return Err(unlike(&self.path, "its first block holds other values"));
        }
        Ok(())
    }

    /// Fails unless the file holds the latest images, whose checksums were taken in memory.
    fn verify_images(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io(&self.path, WRITING))?;
        let fail = || Error::io(&self.path, READING_BACK);
        self.written.seek(SeekFrom::Start(self.start + self.offsets[self.verified])).map_err(fail())?;
        let mut image = Vec::new();
        for (record, &expected) in self.shard.checksums.iter().enumerate().skip(self.verified) {
            image.resize((self.offsets[record + 1] - self.offsets[record]) as usize, 0);
            self.written.read_exact(&mut image).map_err(fail())?;
            if crc32c::crc32c(&image) != expected {
                return Err(unlike(&self.path, format!("record {record} holds other bytes")));
            }
        }
        self.verified = self.shard.checksums.len();
        Ok(())
    }

    /// Bytes of images so far.
    fn bytes(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// The shard as HDF5 writes it, its images a hole. `count` is of images or of bytes.
    fn skeleton(&self, count: usize) -> Result<Skeleton> {
        let temporary = tempfile::Builder::new().prefix(".alexnet-tmp-").tempfile_in(&self.plan.folder);
        let temporary = temporary.map_err(Error::io(&self.path, WRITING))?.into_temp_path();
        let file = Writer::create(&temporary, &self.path)?;
        let size = self.plan.size;
        let shape: &[usize] = match self.plan.storage {
            Storage::Raw => &[count, size, size, 3],
            Storage::Jpeg { .. } => &[count],
        };
        // First, so that its place does not depend on what else there is.
        let start = file.reserve("images", shape)?;
        self.write_tables(&file)?;
        let intended = file.close()?;
        Ok(Skeleton { file: temporary, start, intended })
    }

    fn write_tables(&self, file: &Writer) -> Result<()> {
        let n = self.shard.labels.len();
        let size = self.plan.size;
        if let Storage::Jpeg { .. } = self.plan.storage {
            file.put("offsets", &[n + 1], &self.offsets)?;
        }
        file.put("labels", &[n], &self.shard.labels)?;
        file.put("crc32c", &[n], &self.shard.checksums)?;
        file.put("names", &[self.names.bytes().len()], self.names.bytes())?;
        file.put("name_offsets", &[n + 1], &self.names.offsets())?;
        file.put("place_sums", &[size, size, 3], &self.shard.sums.places())?;
        file.put_attribute("product_sums", &[6], self.shard.sums.products())?;
        let refused: Vec<[&str; 2]> = self.shard.refused.iter().map(|r| [r.name.as_str(), r.reason.as_str()]).collect();
        let refused = serde_json::to_vec(&refused).map_err(|e| Error::pack(&self.path, e.to_string()))?;
        file.put("bad", &[refused.len()], &refused)?;
        file.put_number("shard", self.number as u64)?;
        file.put_text("source", &self.plan.parts[self.number])?;
        file.put_text("settings", &self.plan.settings)
    }
}

impl Shard {
    fn empty(plan: &Plan) -> Self {
        Self {
            labels: Vec::new(),
            checksums: Vec::new(),
            refused: Vec::new(),
            sums: Sums::new(plan.size),
            length: 0,
            content: 0,
        }
    }

    /// What an earlier run wrote as shard `number`; `None` if it did not.
    ///
    /// # Errors
    /// [`Error::OtherPack`] if it is of another source or other settings; the errors of a damaged file. One of the same
    /// files, some of which were changed since, counts as not written.
    pub fn load(plan: &Plan, catalogue: &Catalogue, number: usize) -> Result<Option<Self>> {
        let path = &plan.path(number);
        if !path.try_exists().map_err(Error::io(path, "cannot be read"))? {
            return Ok(None);
        }
        let (block, _map) = crate::reader::open_checked(path, Role::Shard)?;
        let file = Reader::open(path)?;
        let source = file.get_text("source")?;
        let settings = file.get_text("settings")?;
        plan.check_settings(path, &settings)?;
        let labels: Vec<u32> = file.get_all("labels")?;
        let bad: Vec<u8> = file.get_all("bad")?;
        let bad: Vec<[String; 2]> =
            serde_json::from_slice(&bad).map_err(|e| Error::pack(path, format!("dataset \"bad\": {e}")))?;
        if !plan.is_source_of(number, &source) {
            let names = record_names(&file, labels.len())?;
            let stored = names.iter().map(Vec::as_slice).zip(labels.iter().copied()).collect();
            return if same_files(catalogue, plan.range(number), stored, &bad) {
                Ok(None)
            } else {
                Err(plan.other_source(path, &source, OTHER_FOLDER))
            };
        }
        let found: u64 = file.get_number("shard")?;
        let records = plan.range(number).len();
        if found != number as u64 || labels.len() + bad.len() != records {
            let what =
                format!("is shard {found} of {} files, expected shard {number} of {records}", labels.len() + bad.len());
            return Err(Error::pack(path, what));
        }
        let places = file.get("place_sums", &[plan.size, plan.size, 3])?;
        let products = file.get_attribute("product_sums")?;
        let sums = Sums::of(labels.len() as u64, places, products);
        Ok(Some(Self {
            checksums: file.get("crc32c", &[labels.len()])?,
            labels,
            refused: bad.into_iter().map(|[name, reason]| Refused { name, reason }).collect(),
            sums,
            length: block.length,
            content: block.content,
        }))
    }
}

/// The names of a shard's images.
fn record_names(file: &Reader, count: usize) -> Result<Vec<Vec<u8>>> {
    let bytes: Vec<u8> = file.get_all("names")?;
    let offsets: Vec<u64> = file.get("name_offsets", &[count + 1])?;
    let name = |ends: &[u64]| bytes.get(ends[0] as usize..ends[1] as usize).unwrap_or_default().to_vec();
    Ok(offsets.windows(2).map(name).collect())
}

/// Whether `range` of the source has the names and labels of what a shard stores and refused, in their order.
fn same_files(source: &Catalogue, range: Range<usize>, stored: Vec<(&[u8], u32)>, refused: &[[String; 2]]) -> bool {
    let mut stored = stored.into_iter().peekable();
    let mut refused = refused.iter().peekable();
    for index in range {
        let name = source.name(index);
        let is_stored = stored.next_if(|&(stored, label)| stored == name && label == source.label(index)).is_some();
        let is_known = is_stored || refused.next_if(|[refused, _]| *refused == String::from_utf8_lossy(name)).is_some();
        if !is_known {
            return false;
        }
    }
    stored.next().is_none() && refused.next().is_none()
}
